package sse

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// What a position holds.
const (
	kvMissing = 0
	kvEvent   = 'e'
	kvHole    = 'h' // a record was lost, or the application appended a hole
	kvVoid    = 'v' // there never was a record
)

var errDamaged = errors.New("stored record is damaged")

// appendKVRecord appends the stored form of a record: the kind, a number that tells two writers of a position apart, the
// fields, and a checksum of the key and all that.
func appendKVRecord(b []byte, key string, kind byte, nonce uint64, r Record) []byte {
	b = append(b, kind)
	b = binary.BigEndian.AppendUint64(b, nonce)
	if kind == kvEvent {
		for _, field := range []string{r.Event.Event, r.Event.Data, r.Event.Key} {
			b = appendText(b, field)
		}
		b = binary.AppendVarint(b, int64(r.Event.Retry))
		b = binary.AppendUvarint(b, uint64(len(r.Topics)))
		for _, topic := range r.Topics {
			b = appendText(b, topic)
		}
	}
	return binary.BigEndian.AppendUint32(b, kvSum(key, b))
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func kvSum(key string, body []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(key), crcTable), crcTable, body)
}

// kvNonce returns what the stored form says about its writer.
func kvNonce(b []byte) uint64 { return binary.BigEndian.Uint64(b[1:]) }

// parseKVRecord returns the record without its ID.
func parseKVRecord(key string, b []byte) (kind byte, r Record, err error) {
	const least = 1 + 8 + 4
	if len(b) < least {
		return kvMissing, Record{}, errDamaged
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if kvSum(key, body) != sum {
		return kvMissing, Record{}, errDamaged
	}
	switch kind = body[0]; kind {
	case kvHole:
		return kind, Record{Hole: true}, nil
	case kvVoid:
		return kind, Record{}, nil
	case kvEvent:
	default:
		return kvMissing, Record{}, errDamaged
	}
	d := kvDecoder{rest: body[9:]}
	r.Event.Event, r.Event.Data, r.Event.Key = d.text(), d.text(), d.text()
	r.Event.Retry = time.Duration(d.varint())
	if n := d.uvarint(); n > 0 && n <= uint64(len(d.rest)) {
		r.Topics = make([]string, n)
		for i := range r.Topics {
			r.Topics[i] = d.text()
		}
	} else if n > 0 {
		d.bad = true
	}
	if d.bad || len(d.rest) > 0 {
		return kvMissing, Record{}, errDamaged
	}
	return kind, r, nil
}

// kvDecoder takes fields off a stored record.
type kvDecoder struct {
	rest []byte
	bad  bool
}

func (d *kvDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	return v * d.skip(n)
}

func (d *kvDecoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	return v * int64(d.skip(n))
}

// skip goes past a number of n bytes, and returns zero if there was none.
func (d *kvDecoder) skip(n int) uint64 {
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return 1
}

func (d *kvDecoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.bad = true
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}
