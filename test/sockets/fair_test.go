//go:build linux

package sockets

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// A thousand streams keep the shards busy; who publishes at a pace still gets its turn.
func TestFair_APublisherMakesProgressBesideAThousandStreams(t *testing.T) {
	over(t, parked, func(t *testing.T, w way) {
		streams, events := 1000, 200
		if testing.Short() {
			streams = 200
		}
		s := w.serve(t, options{events: sse.BrokerConfig{History: 256, SubscriberBuffer: 256}})
		var open []*stream
		for range streams {
			open = append(open, s.open(t, ask{}))
		}
		s.settle(streams)
		const readers = 4
		var reading sync.WaitGroup
		for i := range readers {
			reading.Go(func() {
				for n := i; n < streams; n += readers {
					expect(t, open[n], 0, events)
				}
			})
		}
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		began := time.Now()
		for n := range events {
			<-pace.C
			s.publish(strconv.Itoa(n))
		}
		took := time.Since(began)
		reading.Wait()
		got := s.broker.Stats()
		t.Logf("%d events in %v, %d of them waited for passes, %d sends", events, took, got.ThrottledEvents, s.engine.Stats().Sends)
		if took > patience {
			t.Errorf("publishing took %v", took)
		}
		if want := int64(streams * events); got.Delivered != want || got.Dropped != 0 {
			t.Errorf("%d delivered, %d dropped, want %d and none", got.Delivered, got.Dropped, want)
		}
	})
}

// What is published to one of many topics concerns its members alone.
func TestFair_APublishWakesTheMembersOfItsTopicOnly(t *testing.T) {
	over(t, parked, func(t *testing.T, w way) {
		topics, members := 2000, 2
		if testing.Short() {
			topics = 200
		}
		s := w.serve(t, options{})
		open := make([][]*stream, topics)
		for n := range topics {
			for range members {
				open[n] = append(open[n], s.open(t, ask{query: "?topics=t" + strconv.Itoa(n)}))
			}
		}
		s.settle(topics * members)
		before := quietSends(t, s)
		const events = 50
		for n := range events {
			topic := n * topics / events
			s.publish("x", "t"+strconv.Itoa(topic))
			for _, c := range open[topic] {
				if b := c.event(t); b.data != "x" {
					t.Fatalf("got %+v", b)
				}
			}
		}
		if got, want := quietSends(t, s)-before, int64(events*members); got != want {
			t.Errorf("%d sends for %d events of %d members each", got, events, members)
		}
	})
}

// quietSends returns how many sends there were when there are no more. A send is counted when its bytes have arrived.
func quietSends(t *testing.T, s *site) (n int64) {
	t.Helper()
	var passes int64
	quiet := 0
	reach(t, "nothing is being sent", func() bool {
		now := s.engine.Stats()
		if quiet++; now.Sends != n || now.Passes != passes {
			quiet = 0
		}
		n, passes = now.Sends, now.Passes
		return quiet > 110 // the last ten of them a millisecond apart
	})
	return n
}
