//go:build linux

package sockets

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/middleware/sse"
)

func TestStall_EndsWhoReadsNothing(t *testing.T) {
	const stall = 300 * time.Millisecond
	over(t, all, func(t *testing.T, w way) {
		s := w.serve(t, options{
			server: celeris.Config{MaxStall: stall}, buffer: 8 << 10,
			events: sse.BrokerConfig{MaxEventBytes: 8 << 20},
			stream: sse.Config{HeartbeatInterval: 50 * time.Millisecond},
		})
		s.open(t, ask{buffer: 4 << 10})
		s.subscribers(1)
		began := time.Now()
		s.publish(strings.Repeat("x", 4<<20))
		reach(t, "end", func() bool { return len(s.ended()) == 1 })
		if took := time.Since(began); took < stall {
			t.Errorf("given up after %v, MaxStall is %v", took, stall)
		}
		if err := s.ended()[0]; !errors.Is(err, engine.ErrStalled) {
			t.Errorf("ended with %v, want %v", err, engine.ErrStalled)
		}
		s.settle(0)
	})
}

// The reader takes so little that the connection's buffer has no room for longer than MaxStall: that its peer acknowledges
// bytes is all that tells it from one that stands still.
func TestStall_SparesWhoReadsSteadily(t *testing.T) {
	const stall = 800 * time.Millisecond
	over(t, parked, func(t *testing.T, w way) {
		s := w.serve(t, options{
			server: celeris.Config{MaxStall: stall}, buffer: 256 << 10,
			events: sse.BrokerConfig{MaxEventBytes: 8 << 20},
		})
		c := s.open(t, ask{buffer: 4 << 10})
		s.publish(strings.Repeat("x", 2<<20))
		reach(t, "refusal", func() bool { return s.engine.Stats().Refused == 1 })
		sends := s.engine.Stats().Sends
		quiet, longest := time.Now(), time.Duration(0) // since the connection last took something
		for began := time.Now(); time.Since(began) < 3*stall; {
			if _, err := c.read(256); err != nil {
				t.Fatalf("after %v: %v", time.Since(began), err)
			}
			if n := s.engine.Stats().Sends; n != sends {
				sends, quiet = n, time.Now()
			}
			longest = max(longest, time.Since(quiet))
			time.Sleep(25 * time.Millisecond) // this test is about the time between two reads
		}
		if len(s.ended()) > 0 {
			t.Errorf("ended with %v", s.ended()[0])
		}
		t.Logf("the longest time without room was %v, MaxStall is %v", longest, stall)
		if longest < stall {
			t.Errorf("the connection had room every %v: this shows nothing", longest)
		}
	})
}
