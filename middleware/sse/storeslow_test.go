package sse_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// stocked is a store that has n events of 1 KiB.
func stocked(n int) *cloud {
	c := newCloud()
	c.do(func() {
		for i := range n {
			c.add(sse.Record{Event: event(fmt.Sprintf("%d %s", i+1, strings.Repeat("x", 1000))), Topics: []string{""}})
		}
	})
	return c
}

func TestStore_ASlowReplayIsNotALag(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		const before, during = 1000, 100
		c := stocked(before)
		b := onCloud(t, c, sse.BrokerConfig{SubscriberBuffer: 10, History: 10})
		tab := serve(t, w, b).visit("Last-Event-Id", "e1-0")
		tab.hold()
		for i := range during {
			publish(t, b, fmt.Sprintf("%d %s", before+i+1, strings.Repeat("x", 1000)))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		tab.release()
		got := tab.all()
		if len(got) == 0 || got[0] != "retry: 3000|id: E-0" {
			t.Fatalf("opens with %q", got)
		}
		if n, rest := count(t, got[1:], 1); n != before+during || len(rest) > 0 {
			t.Errorf("%d events in a row, want %d; then %.200q", n, before+during, rest)
		}
		if st := b.Stats(); st.Dropped > 0 || st.Resyncs > 0 {
			t.Errorf("%d dropped, %d resyncs", st.Dropped, st.Resyncs)
		}
	})
}

// overtaken is a subscriber that was up to date and that the memory has left behind.
func overtaken(t *testing.T, w way, policy sse.BrokerPolicy) (b *sse.Broker, tab *tab, n int) {
	t.Helper()
	b = onCloud(t, newCloud(), sse.BrokerConfig{
		SubscriberBuffer: 10, History: 10, MaxLagBytes: 20 << 10, HistoryBytes: 20 << 10,
		OnSlowSubscriber: func(sse.SlowSubscriber) sse.BrokerPolicy { return policy },
	})
	tab = serve(t, w, b).visit()
	equal(t, "opening", tab.all(), "retry: 3000|id: E-0")
	tab.hold()
	for n = range 400 {
		publish(t, b, fmt.Sprintf("%d %s", n+1, strings.Repeat("x", 1000)))
		time.Sleep(10 * time.Millisecond)
	}
	tab.release()
	synctest.Wait()
	return b, tab, n + 1
}

func TestStore_CatchesUpFromTheStore(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b, tab, n := overtaken(t, w, sse.BrokerPolicyCatchUp)
		if got, rest := count(t, tab.all(), 1); got != n || len(rest) > 0 {
			t.Errorf("%d events in a row, want %d; then %.200q", got, n, rest)
		}
		if st := b.Stats(); st.StoreReads == 0 {
			t.Error("nothing was read from the store")
		}
	})
}

func TestStore_DropsWhoIsTooSlow(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b, tab, n := overtaken(t, w, sse.BrokerPolicyDrop)
		got := tab.all()
		seen, rest := count(t, got, 1)
		if len(rest) == 0 || !strings.Contains(rest[0], `event: resync`) || !strings.Contains(rest[0], `"reason":"lagged"`) {
			t.Fatalf("%d events, then %.200q, want a resync", seen, rest)
		}
		if st := b.Stats(); st.Resyncs == 0 || seen == n {
			t.Errorf("%d of %d events, %d resyncs", seen, n, st.Resyncs)
		}
	})
}

func TestStore_AClientMayKnowOfANewerEpoch(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		c := newCloud()
		b := onCloud(t, c, sse.BrokerConfig{})
		s := serve(t, w, b)
		synctest.Wait()
		c.do(c.anew) // this process has not noticed
		tab := s.visit("Last-Event-Id", "e2-0")
		equal(t, "opens where it was", tab.all(), "retry: 3000|id: E-0")
		publish(t, b, "on")
		equal(t, "goes on", tab.all(), "id: E-1|data: on")
	})
}
