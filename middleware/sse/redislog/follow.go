package redislog

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// verifyEvery is how often a follower that hears nothing looks whether its place still exists: nothing else tells it
// that the stream was deleted, replaced or rolled back. A short TTL makes it more often.
const verifyEvery = 2 * time.Second

// Follow implements [sse.Follower]. A record that is damaged is a hole. That the stream was lost is noticed within two
// seconds, that it was replaced with the next record. It ends with [sse.ErrStoreClosed] when the Log is closed.
func (l *Log) Follow(ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
	return func(yield func(sse.Record, error) bool) {
		k, c, err := l.seek(stream, lastID)
		if err == nil && c.oldest {
			_, _, err = l.Open(ctx, stream)
		}
		if err == nil {
			err = l.follow(ctx, k, c, yield)
		}
		if err != nil && !errors.Is(err, errLeft) {
			yield(sse.Record{}, readError(stream, err))
		}
	}
}

// follow yields what is there, and then what the tail brings as long as that continues where the cursor is. Whenever it
// doesn't, or brings nothing for a while, it asks the stream itself.
func (l *Log) follow(ctx context.Context, k keys, c cursor, yield func(sse.Record, error) bool) error {
	verify := time.NewTimer(0)
	defer verify.Stop()
	every := min(l.verify, l.cfg.TTL/4)
	var touched time.Time
	var f *follower
	defer func() {
		if f != nil {
			f.leave()
		}
	}()
	for {
		keep := time.Since(touched) >= l.cfg.TTL/4
		p, err := l.page(ctx, k, &c, keep)
		if err != nil {
			return err
		}
		if keep {
			touched = time.Now()
		}
		if err := c.advance(ctx, p.entries, yield); err != nil {
			return err
		}
		if c.position < p.head {
			continue
		}
		if f == nil {
			if f = l.join(k.log, c.position); f == nil {
				return sse.ErrStoreClosed
			}
		}
		verify.Reset(every)
		for fits := true; fits; {
			var entries []entry
			if entries, fits, err = f.wait(ctx, c.position, verify.C); err != nil {
				return err
			}
			if err := c.advance(ctx, entries, yield); err != nil {
				return err
			}
		}
	}
}
