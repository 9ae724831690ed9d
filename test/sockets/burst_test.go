//go:build linux

package sockets

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/goceleris/celeris/middleware/sse"
)

// A reader that takes what it gets is never slow, however much comes at once and however little it may be behind.
func TestBurst_IsNoLagForWhoReads(t *testing.T) {
	const events, readers = 1000, 4
	over(t, all, func(t *testing.T, w way) {
		s := w.serve(t, options{events: sse.BrokerConfig{History: events, SubscriberBuffer: 1}})
		var streams []*stream
		for range readers {
			streams = append(streams, s.open(t, ask{}))
		}
		s.subscribers(readers)
		for round := range 3 {
			var reading sync.WaitGroup
			for _, c := range streams {
				reading.Go(func() { expect(t, c, round*events, events) })
			}
			for n := range events {
				s.publish(strconv.Itoa(round*events + n))
			}
			reading.Wait()
		}
		if n := s.broker.Stats(); n.Resyncs != 0 || n.Dropped != 0 {
			t.Errorf("%d resyncs, %d dropped", n.Resyncs, n.Dropped)
		}
	})
}

// expect reads so many events, which have to be numbered without a gap. It may be called by any goroutine.
func expect(t *testing.T, c *stream, from, n int) {
	t.Helper()
	for end := from + n; from < end; {
		for _, b := range c.queue {
			if b.data == "" && b.event == "" {
				continue
			}
			number, _, _ := strings.Cut(b.data, " ")
			if b.event != "" || number != strconv.Itoa(from) {
				t.Errorf("got %.80q, want event %d", fmt.Sprint(b), from)
				return
			}
			from++
		}
		c.queue = c.queue[:0]
		if from >= end {
			return
		}
		if _, err := c.read(16 << 10); err != nil {
			t.Errorf("wait for event %d: %v", from, err)
			return
		}
	}
}

// A replay is no lag, however little the connection takes at a time.
func TestReplay_OfTheWholeHistoryThroughASmallBuffer(t *testing.T) {
	const events = 2000
	for _, early := range []bool{false, true} { // the size is the engine's, or that of who accepts connections
		t.Run(fmt.Sprintf("early=%v", early), func(t *testing.T) {
			over(t, all, func(t *testing.T, w way) {
				if w.open == nil && early {
					t.Skip("the same as without")
				}
				s := w.serve(t, options{
					events: sse.BrokerConfig{History: events, SubscriberBuffer: 1}, buffer: 4 << 10, early: early,
				})
				first := s.open(t, ask{})
				text := " " + strings.Repeat("x", 200)
				for n := range events / 10 {
					for k := range 10 {
						s.publish(strconv.Itoa(10*n+k) + text)
					}
					expect(t, first, 10*n, 10)
				}
				// From the position before everything.
				epoch, _, _ := strings.Cut(first.lastID, "-")
				c := s.open(t, ask{lastID: epoch + "-0", buffer: 4 << 10})
				expect(t, c, 0, events)
				if n := s.broker.Stats(); n.Resyncs != 0 {
					t.Errorf("%d resyncs", n.Resyncs)
				}
			})
		})
	}
}
