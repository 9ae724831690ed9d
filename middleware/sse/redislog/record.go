package redislog

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// A stored record is a version, the CRC-32C of what follows, and
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

// encode returns a record's stored form, without its ID.
func encode(r sse.Record) []byte {
	size := recordHeader + 1 + 5*binary.MaxVarintLen64 + len(r.Event.Event) + len(r.Event.Key) + len(r.Event.Data)
	for _, topic := range r.Topics {
		size += binary.MaxVarintLen32 + len(topic)
	}
	b := make([]byte, recordHeader, size)
	b[0] = recordVersion
	if r.Hole {
		b = append(b, flagHole)
	} else {
		b = append(b, 0)
	}
	b = binary.AppendVarint(b, int64(r.Event.Retry))
	for _, s := range [...]string{r.Event.Event, r.Event.Key, r.Event.Data} {
		b = appendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Topics)))
	for _, topic := range r.Topics {
		b = appendText(b, topic)
	}
	binary.LittleEndian.PutUint32(b[1:], crc32.Checksum(b[recordHeader:], castagnoli))
	return b
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// decode is the inverse of encode. The record shares the bytes of stored.
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
