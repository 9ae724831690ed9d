package redislog

import (
	"fmt"
	"iter"
	"strconv"

	"github.com/goceleris/celeris/middleware/sse"
)

// entry is what one batch has become in Redis.
type entry struct {
	position uint64 // of the last record
	first    uint64 // of the first
	before   string // the Redis ID of the entry before, or the epoch
	stored   string // the records
}

// parseEntry reads an entry's ID and fields. Of something else than an entry it is one that continues nothing.
func parseEntry(id, before, n, stored string) (entry, error) {
	position, ok := parsePosition(id)
	if !ok {
		return entry{}, fmt.Errorf("unexpected ID %.200q", id)
	}
	e := entry{position: position, first: position, before: before, stored: stored}
	count, _ := strconv.ParseUint(n, 10, seqBits+1) // or zero, or too many
	if count == 0 || count > position&(1<<seqBits-1)+1 {
		e.before = ""
	} else {
		e.first = position - (count - 1)
	}
	return e, nil
}

// continues reports whether the entry has the record behind the cursor, and those between are none.
func (e entry) continues(c cursor) bool {
	switch {
	case e.before == "":
		return false
	case c.position == 0:
		return e.before == c.epoch
	case c.position >= e.first:
		return c.position < e.position
	}
	return e.before == streamID(c.position)
}

// records yields the records with their positions. A damaged one is a hole; if it isn't even known where the next one
// begins, the hole takes the place of all that follow.
func (e entry) records() iter.Seq2[uint64, sse.Record] {
	return func(yield func(uint64, sse.Record) bool) {
		d := decoder{rest: e.stored}
		for position := e.first; position <= e.position; position++ {
			stored := d.text()
			if d.failed || position == e.position && d.rest != "" {
				yield(e.position, sse.Record{Hole: true})
				return
			}
			record, err := decode(stored)
			if err != nil {
				record = sse.Record{Hole: true}
			}
			if !yield(position, record) {
				return
			}
		}
	}
}
