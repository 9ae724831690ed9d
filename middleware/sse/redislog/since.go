package redislog

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/goceleris/celeris/middleware/sse"
)

const (
	// pageRecords and pageBytes bound what a reader fetches at once. The last entry may exceed them.
	pageRecords = 512
	pageBytes   = 1 << 20
)

// cursor is a place in a stream.
type cursor struct {
	epoch    string
	position uint64 // of the newest record already read
	oldest   bool   // before the oldest record kept, whichever that is
}

// page is what one round trip brings.
type page struct {
	epoch   string
	head    uint64
	entries []entry
}

// Since implements [sse.ReplayStore]. A record that is damaged is a hole.
func (l *Log) Since(ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
	return func(yield func(sse.Record, error) bool) {
		k, c, err := l.seek(stream, lastID)
		if err == nil {
			err = l.since(ctx, k, c, yield)
		}
		if err != nil && !errors.Is(err, errLeft) {
			yield(sse.Record{}, readError(stream, err))
		}
	}
}

// errLeft reports a reader that left its loop.
var errLeft = errors.New("redislog: reader left")

func (l *Log) since(ctx context.Context, k keys, c cursor, yield func(sse.Record, error) bool) error {
	for until, first := uint64(0), true; ; first = false {
		all := c.oldest
		p, err := l.page(ctx, k, &c, false)
		if all && errors.Is(err, errNone) {
			return nil
		}
		if err != nil {
			return err
		}
		if first {
			until = p.head
		}
		if err := c.advance(ctx, p.entries, yield); err != nil {
			return err
		}
		if c.position >= until {
			return nil
		}
		if len(p.entries) == 0 {
			return sse.ErrLastIDUnknown
		}
	}
}

// seek returns the place behind lastID.
func (l *Log) seek(stream, lastID string) (keys, cursor, error) {
	k, err := l.keys(stream)
	if err != nil || lastID == "" {
		return k, cursor{oldest: true}, err
	}
	epoch, position, err := sse.ParseID(lastID)
	return k, cursor{epoch: epoch, position: position}, err
}

// errNone reports that there is no stream.
var errNone = fmt.Errorf("%w: there is no such stream", sse.ErrLastIDUnknown)

// page fetches what is behind the cursor and checks that it continues there. With keep it prolongs the stream's life.
// A cursor before the oldest record is given its epoch, and becomes an ordinary one in front of the first entry.
func (l *Log) page(ctx context.Context, k keys, c *cursor, keep bool) (page, error) {
	from, ttl := "-", any("")
	if !c.oldest {
		from = streamID(c.position)
	}
	if keep {
		ttl = l.ttl()
	}
	var reply []string
	err := l.do(ctx, func() (err error) {
		r, err := l.run(ctx, pageScript, k, from, pageRecords, pageBytes, ttl)
		if err == nil {
			reply = r
		}
		return err
	})
	if err != nil {
		return page{}, err
	}
	if len(reply) == 0 {
		return page{}, errNone
	}
	p := page{entries: make([]entry, 0, len(reply)/4)}
	if p.epoch, p.head, err = parseState(reply); err != nil {
		return page{}, err
	}
	for rest := reply[2:]; len(rest) >= 4; rest = rest[4:] {
		e, err := parseEntry(rest[0], rest[1], rest[2], rest[3])
		if err != nil {
			return page{}, err
		}
		p.entries = append(p.entries, e)
	}
	if c.oldest {
		*c = cursor{epoch: p.epoch}
		if len(p.entries) > 0 {
			c.position, _ = parsePosition(p.entries[0].before) // or zero, with the epoch there
		}
	}
	switch {
	case c.epoch != p.epoch:
		return page{}, sse.ErrLastIDUnknown
	case len(p.entries) == 0 && c.position != p.head:
		return page{}, sse.ErrLastIDUnknown
	case len(p.entries) > 0 && !p.entries[0].continues(*c):
		return page{}, sse.ErrLastIDUnknown
	}
	return p, nil
}

// advance yields what entries have behind the cursor, and moves it along.
func (c *cursor) advance(ctx context.Context, entries []entry, yield func(sse.Record, error) bool) error {
	for _, e := range entries {
		if !e.continues(*c) {
			return sse.ErrLastIDUnknown
		}
		for position, record := range e.records() {
			if position <= c.position {
				continue
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			c.position = position
			record.ID = sse.FormatID(c.epoch, position)
			if !yield(record, nil) {
				return errLeft
			}
		}
	}
	return nil
}

// readError is what a reader gets.
func readError(stream string, err error) error {
	return fmt.Errorf("redislog: read stream %q: %w", stream, err)
}
