//go:build linux

package sockets

import (
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// A quiet stream gets one for each interval; on a busy machine some come late, none comes early.
func TestHeartbeat_ComesForEachIntervalOfSilence(t *testing.T) {
	const interval, beats = 50 * time.Millisecond, 6
	over(t, all, func(t *testing.T, w way) {
		s := w.serve(t, options{stream: sse.Config{HeartbeatInterval: interval}})
		began := time.Now()
		c := s.open(t, ask{})
		for range beats {
			if b := c.next(t); b.data != "" || b.id == "" && !b.comment {
				t.Fatalf("got %+v, want a heartbeat", b)
			}
		}
		// The wheel of timers has a grain of its own.
		if took := time.Since(began); took < beats*interval*9/10 {
			t.Errorf("%d heartbeats in %v, one is due each %v", beats, took, interval)
		}
		id := s.publish("x")
		if b := c.event(t); b.id != id {
			t.Errorf("got %+v, want the event %s", b, id)
		}
		if b := c.next(t); b.id != id || b.data != "" {
			t.Errorf("got %+v, want a heartbeat that carries %s", b, id)
		}
	})
}

// While a reader takes nothing, many intervals pass.
func TestHeartbeat_NeverComesWithinAnEvent(t *testing.T) {
	const interval = 20 * time.Millisecond
	over(t, all, func(t *testing.T, w way) {
		s := w.serve(t, options{
			stream: sse.Config{HeartbeatInterval: interval}, buffer: 8 << 10,
			events: sse.BrokerConfig{MaxEventBytes: 8 << 20, MaxLagBytes: 32 << 20, HistoryBytes: 64 << 20},
		})
		c, free := s.open(t, ask{buffer: 4 << 10}), s.open(t, ask{})
		text := strings.Repeat("0123456789", 50<<10)
		for range 2 {
			s.publish(text)
		}
		for range 2 {
			if b := free.event(t); b.data != text {
				t.Fatalf("the reader beside it got %d bytes", len(b.data))
			}
		}
		for range 5 { // of its heartbeats, each a silence that the other has too
			if b := free.next(t); b.data != "" {
				t.Fatalf("got %.50q, want a heartbeat", b.data)
			}
		}
		for n := range 2 {
			if b := c.event(t); b.data != text {
				t.Fatalf("event %d is torn: %d bytes", n, len(b.data))
			}
		}
	})
}
