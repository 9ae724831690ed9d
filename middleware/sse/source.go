package sse

import (
	"context"
	"errors"
	"iter"

	"github.com/goceleris/celeris/internal/fanout"
)

// source is a mirror's store as its core sees it.
type source struct{ *mirror }

var _ fanout.Source = source{}

// Reaches implements [fanout.Source]. A stream of another epoch does not contradict: who asks learns of that soon.
func (s source) Reaches(ctx context.Context, epoch string, p fanout.Position) (bool, error) {
	now, head, err := openStream(ctx, s.cfg)
	return now != epoch || fanout.Position(head) >= p, err
}

// Since implements [fanout.Source].
func (s source) Since(ctx context.Context, epoch string, p fanout.Position) iter.Seq2[fanout.Record, error] {
	return func(yield func(fanout.Record, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.timeout)
		defer cancel()
		for r, err := range s.cfg.store.Since(ctx, s.cfg.stream, FormatID(epoch, uint64(p))) {
			var rec fanout.Record
			if err == nil {
				rec, err = toRecord(epoch, r)
			}
			if errors.Is(err, ErrLastIDUnknown) {
				err = fanout.ErrGone
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

func toRecord(epoch string, r Record) (fanout.Record, error) {
	of, p, err := ParseID(r.ID)
	if err != nil || of != epoch {
		return fanout.Record{}, ErrLastIDUnknown
	}
	e := toEntry(r)
	return fanout.Record{Position: fanout.Position(p), Frame: e.frame, Topics: e.topics, Hole: e.hole}, nil
}
