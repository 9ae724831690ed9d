package redislog

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/bits"
	"slices"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// The records of an entry are each a uvarint length and that many bytes: a version, the CRC-32C of what follows, and
//
//	flags   1 byte: hole
//	retry   varint, nanoseconds
//	event, key, data   each a uvarint length and that many bytes
//	topics  uvarint number of them, then like data
const (
	recordVersion = 1
	recordHeader  = 1 + crc32.Size

	flagHole = 1 << 0
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errCorrupt reports bytes that no version of this package has written, or which are damaged.
var errCorrupt = errors.New("redislog: record is damaged")

// appendRecord adds a record to those of an entry, without its ID.
func appendRecord(b []byte, r sse.Record) []byte {
	size := recordHeader + 1 + varintSize(zigzag(int64(r.Event.Retry))) +
		textSize(r.Event.Event) + textSize(r.Event.Key) + textSize(r.Event.Data) + varintSize(uint64(len(r.Topics)))
	for _, topic := range r.Topics {
		size += textSize(topic)
	}
	b = slices.Grow(b, varintSize(uint64(size))+size)
	b = binary.AppendUvarint(b, uint64(size))
	start := len(b)
	b = append(b, recordVersion, 0, 0, 0, 0)
	if r.Hole {
		b = append(b, flagHole)
	} else {
		b = append(b, 0)
	}
	b = binary.AppendVarint(b, int64(r.Event.Retry))
	b = appendText(appendText(appendText(b, r.Event.Event), r.Event.Key), r.Event.Data)
	b = binary.AppendUvarint(b, uint64(len(r.Topics)))
	for _, topic := range r.Topics {
		b = appendText(b, topic)
	}
	binary.LittleEndian.PutUint32(b[start+1:], crc32.Checksum(b[start+recordHeader:], castagnoli))
	return b
}

func varintSize(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func textSize(s string) int { return varintSize(uint64(len(s))) + len(s) }

// zigzag is what a varint has of a signed number.
func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// decode reads one of the records that appendRecord wrote, without its length. The record shares the bytes of stored.
func decode(stored string) (sse.Record, error) {
	if len(stored) < recordHeader+1 || stored[0] != recordVersion {
		return sse.Record{}, errCorrupt
	}
	body := []byte(stored[1:])
	if crc32.Checksum(body[crc32.Size:], castagnoli) != binary.LittleEndian.Uint32(body) {
		return sse.Record{}, errCorrupt
	}
	d := decoder{rest: stored[recordHeader+1:]}
	r := sse.Record{Hole: stored[recordHeader]&flagHole != 0}
	r.Event.Retry = time.Duration(d.varint())
	r.Event.Event, r.Event.Key, r.Event.Data = d.text(), d.text(), d.text()
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		return sse.Record{}, errCorrupt
	}
	if n > 0 {
		r.Topics = make([]string, n)
	}
	for i := range r.Topics {
		r.Topics[i] = d.text()
	}
	if d.failed || d.rest != "" || stored[recordHeader]&^flagHole != 0 {
		return sse.Record{}, errCorrupt
	}
	return r, nil
}

// decoder reads from the front of rest until something fails.
type decoder struct {
	rest   string
	failed bool
}

func (d *decoder) uvarint() uint64 {
	var v uint64
	for i := range min(len(d.rest), binary.MaxVarintLen64) {
		c := d.rest[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.rest = d.rest[i+1:]
			return v
		}
	}
	d.failed = true
	return 0
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *decoder) text() string {
	n := d.uvarint()
	if d.failed || n > uint64(len(d.rest)) {
		d.failed = true
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}
