package sse

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// kvBase is what a counter begins with. One that was deleted begins with nothing: its numbers are lower, and so tell
// any writer that they are not new.
const kvBase = 1 << 40

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// kvKeys names the keys of a stream: "<prefix><stream>:<what>".
type kvKeys struct {
	stem    string
	counter string
}

func (s *kvReplay) keys(stream string) kvKeys {
	name := stream
	if !plainName(name, 40) {
		sum := sha256.Sum256([]byte(stream))
		name = "~" + base64.RawURLEncoding.EncodeToString(sum[:24])
	}
	return kvKeys{s.config.Prefix + name + ":", s.config.CounterKey}
}

// epoch is the key of the stream's epoch, or of an earlier one that leads to it by next.
func (k kvKeys) epoch() string { return k.stem + "epoch" }

// lease is the key of the process that the stream belongs to.
func (k kvKeys) lease() string { return k.stem + "lease" }

// next is the key of the epoch that replaced another.
func (k kvKeys) next(epoch string) string { return k.stem + "next:" + epoch }

// count is the key of an epoch's counter.
func (k kvKeys) count(epoch string) string { return k.stem + epoch + ":" + k.counter }

// mark is the key of an epoch's [kvMark].
func (k kvKeys) mark(epoch string) string { return k.stem + epoch + ":~mark" }

// open is the key that is there while a process takes positions in blocks; its value is a position up to which
// everything was stored.
func (k kvKeys) open(epoch string) string { return k.stem + epoch + ":~open" }

// record is the key of a position.
func (k kvKeys) record(epoch string, position uint64) string {
	return k.stem + epoch + ":" + strconv.FormatUint(position, 10)
}

func (k kvKeys) records(epoch string, first uint64, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = k.record(epoch, first+uint64(i))
	}
	return keys
}

// plainName reports whether a name can be part of a key as it is.
func plainName(name string, limit int) bool {
	if name == "" || len(name) > limit {
		return false
	}
	return strings.IndexFunc(name, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_'
	}) < 0
}

// kvEpochID returns an epoch that nobody else has.
func kvEpochID() string { return rand.Text()[:16] }

// signed appends a checksum of the key and the value to the value.
func signed(key, value string) []byte {
	return fmt.Appendf(nil, "%s.%08x", value, checksum(key, value))
}

// unsigned returns what was signed for the key.
func unsigned(key string, blob []byte) (value string, ok bool) {
	value, sum, ok := strings.Cut(string(blob), ".")
	return value, ok && sum == fmt.Sprintf("%08x", checksum(key, value))
}

func checksum(key, value string) uint32 {
	return crc32.Update(crc32.Checksum([]byte(key), crcTable), crcTable, []byte(value))
}

// parseCounter returns the position that a counter has given last. It reports false for a counter that is lost.
func parseCounter(blob []byte) (position uint64, ok bool) {
	n, err := strconv.ParseUint(string(blob), 10, 63)
	if err != nil || n < kvBase {
		return 0, false
	}
	return n - kvBase, true
}

func formatCounter(position uint64) []byte {
	return strconv.AppendUint(nil, kvBase+position, 10)
}

// kvMark is written once in a while, so that a counter that went back is noticed by a process that has just begun.
type kvMark struct {
	head    uint64 // a position that was given
	trimmed uint64 // the newest position that is no longer kept
}

func (m kvMark) blob(key string) []byte {
	return signed(key, fmt.Sprintf("%d-%d", m.head, m.trimmed))
}

// parseMark returns the zero mark for one that is lost.
func parseMark(key string, blob []byte) (m kvMark) {
	value, ok := unsigned(key, blob)
	if !ok {
		return kvMark{}
	}
	head, trimmed, _ := strings.Cut(value, "-")
	m.head, _ = strconv.ParseUint(head, 10, 64)
	m.trimmed, _ = strconv.ParseUint(trimmed, 10, 64)
	return m
}
