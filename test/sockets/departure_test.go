//go:build linux

package sockets

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/middleware/sse"
)

// soon is within what time a departure is noticed that sends a packet. On a busy machine it is a bound of failure.
const soon = 5 * time.Second

// Nothing is published, and no heartbeat is due for long.
func TestDeparture_IsNoticedWithoutAnyEvent(t *testing.T) {
	for _, d := range []struct {
		name  string
		leave func(t *testing.T, c *stream)
	}{
		{"close", func(_ *testing.T, c *stream) { c.close() }},
		{"reset", func(_ *testing.T, c *stream) { c.reset() }},
		{"half-close", func(t *testing.T, c *stream) {
			if err := c.conn.CloseWrite(); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(d.name, func(t *testing.T) {
			over(t, all, func(t *testing.T, w way) {
				s := w.serve(t, options{})
				for n := range 3 {
					c := s.open(t, ask{})
					s.subscribers(1)
					s.settle(1)
					began := time.Now()
					d.leave(t, c)
					reach(t, "end", func() bool { return len(s.ended()) == n+1 })
					s.subscribers(0)
					s.settle(0)
					took := time.Since(began)
					if took > soon {
						t.Errorf("noticed after %v", took)
					}
					if err := s.ended()[n]; !errors.Is(err, engine.ErrPeerGone) {
						t.Errorf("ended with %v, want %v", err, engine.ErrPeerGone)
					}
				}
			})
		})
	}
}

// The client has sent something that nobody reads, or will not read what it is being sent: a parked stream still notices.
func TestDeparture_OfBusyClientsIsNoticed(t *testing.T) {
	over(t, parked, func(t *testing.T, w way) {
		s := w.serve(t, options{events: sse.BrokerConfig{MaxEventBytes: 8 << 20}})
		leave := []func(c *stream){
			(*stream).close, (*stream).reset, func(c *stream) { _ = c.conn.CloseWrite() },
		}
		for n, how := range leave {
			c := s.open(t, ask{})
			if _, err := io.WriteString(c.conn, "stray bytes"); err != nil {
				t.Fatal(err)
			}
			how(c)
			reach(t, "end", func() bool { return len(s.ended()) == n+1 })
		}
		for n, how := range leave {
			c := s.open(t, ask{buffer: 4 << 10})
			s.publish(strings.Repeat("x", 7<<20)) // more than the kernel takes
			reach(t, "refusal", func() bool { return s.engine.Stats().Refused == 1 })
			how(c)
			reach(t, "end amid an event", func() bool { return len(s.ended()) == len(leave)+n+1 })
		}
		for _, err := range s.ended() {
			if !errors.Is(err, engine.ErrPeerGone) {
				t.Errorf("ended with %v, want %v", err, engine.ErrPeerGone)
			}
		}
		s.settle(0)
	})
}
