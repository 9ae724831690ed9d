package sse_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// shelf is a store with ten records, of which it has forgotten the first. Whoever asks for them waits for the gate.
type shelf struct {
	sse.ReplayStore
	gate chan struct{}
	slow time.Duration // for each position that a read begins behind
}

func (s *shelf) Open(context.Context, string) (string, uint64, error) { return "e", 10, nil }

func (s *shelf) Since(ctx context.Context, _, lastID string) iter.Seq2[sse.Record, error] {
	return func(yield func(sse.Record, error) bool) {
		_, p, err := sse.ParseID(lastID)
		time.Sleep(time.Duration(p) * s.slow)
		if err == nil && p < 3 {
			select {
			case <-s.gate:
			case <-ctx.Done():
			}
			err = sse.ErrLastIDUnknown
		}
		if err != nil {
			yield(sse.Record{}, err)
			return
		}
		for p++; p <= 10; p++ {
			if !yield(sse.Record{ID: sse.FormatID("e", p), Event: sse.Event{Data: fmt.Sprint(p)}, Topics: []string{""}}, nil) {
				return
			}
		}
	}
}

// TestBroker_WhatIsGoneForOneIsNotGoneForAll has two readers share a read, of which the store can serve the second only.
func TestBroker_WhatIsGoneForOneIsNotGoneForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &shelf{gate: make(chan struct{})}
		b := newBroker(t, sse.BrokerConfig{ReplayStore: store})
		got := make(chan string, 2)
		for _, from := range []uint64{1, 5} {
			go func() {
				for p, err := range b.Events(t.Context(), sse.FormatID("e", from)) {
					if resync, ok := errors.AsType[*sse.ResyncError](err); ok {
						got <- fmt.Sprintf("from %d: %s", from, resync.Reason)
					} else if err == nil {
						got <- fmt.Sprintf("from %d: event %s", from, p.Event().Data)
					}
					return
				}
			}()
			synctest.Wait()
		}
		close(store.gate)
		all := map[string]bool{<-got: true, <-got: true}
		if !all["from 1: expired"] || !all["from 5: event 6"] {
			t.Errorf("got %v, want a resync from 1 and an event from 5", all)
		}
	})
}

// TestBroker_ReadsBesideEachOtherLeaveNothingOut has a reader come to the end of what it has read while that which
// follows is still being read for another one.
func TestBroker_ReadsBesideEachOtherLeaveNothingOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{ReplayStore: &shelf{slow: time.Millisecond}})
		var reading sync.WaitGroup
		for _, from := range []uint64{6, 3} {
			reading.Go(func() {
				next := from + 1
				for p, err := range b.Events(t.Context(), sse.FormatID("e", from)) {
					if err != nil || p.ID() != sse.FormatID("e", next) || p.Event().Data != fmt.Sprint(next) {
						t.Errorf("from %d: got %v, %v, want event %d", from, p, err, next)
						return
					}
					if next++; next > 10 {
						return
					}
				}
			})
			synctest.Wait()
		}
		reading.Wait()
	})
}
