package sse_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// lagging is a broker whose subscribers may be ten events behind, with one held tab and one that reads on.
type lagging struct {
	*sse.Broker
	held, free *tab
	ends       chan error // of the held tab
	client     *sse.Client
}

func lag(t *testing.T, w way, cfg sse.BrokerConfig) *lagging {
	t.Helper()
	cfg.SubscriberBuffer, cfg.History = 10, 10_000
	l := &lagging{Broker: newBroker(t, cfg), ends: make(chan error, 2)}
	s := stream(t, w, sse.Config{
		Broker: l.Broker, Farewell: &sse.Event{Data: "bye"},
		OnDisconnect: func(_ *sse.Client, reason error) { l.ends <- reason },
	})
	l.held, l.free = s.visit(), s.visit()
	equal(t, "opening", l.held.all(), "retry: 3000|id: E-0")
	equal(t, "opening", l.free.all(), "retry: 3000|id: E-0")
	for c := range l.Clients("") {
		if c.RemoteAddr() == l.held.conn.LocalAddr().String() {
			l.client = c
		}
	}
	l.held.hold()
	return l
}

// overrun publishes n events of 1 KiB, more than the connection holds, one each 10 ms.
func (l *lagging) overrun(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		publish(t, l.Broker, fmt.Sprintf("%d %s", i+1, strings.Repeat("x", 1000)))
		time.Sleep(10 * time.Millisecond)
	}
}

// count checks that a tab got events from first on without a gap, and returns how many.
func count(t *testing.T, blocks []string, first int) (n int, rest []string) {
	t.Helper()
	for i, b := range blocks {
		if !strings.HasPrefix(b, fmt.Sprintf("id: E-%d|data: %[1]d x", first+i)) {
			return i, blocks[i:]
		}
	}
	return len(blocks), nil
}

func TestSlow_DropTellsTheExactLossToOneOnly(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		var lags []sse.SlowSubscriber
		for name, decide := range map[string]func(sse.SlowSubscriber) sse.BrokerPolicy{
			"default": nil,
			"callback": func(s sse.SlowSubscriber) sse.BrokerPolicy {
				lags = append(lags, s)
				return sse.BrokerPolicyDrop
			},
		} {
			l := lag(t, w, sse.BrokerConfig{OnSlowSubscriber: decide})
			l.overrun(t, 300)
			if n, rest := count(t, l.free.all(), 1); n != 300 || len(rest) != 0 {
				t.Errorf("%s: the free reader got %d events and %q", name, n, rest)
			}
			l.held.release()
			got := l.held.all()
			n, rest := count(t, got, 1)
			if len(rest) != 1 {
				t.Fatalf("%s: after %d events: %q, want one resync", name, n, rest)
			}
			want := fmt.Sprintf(`id: E-300|event: resync|data: {"dropped":%d,"reason":"lagged"}`, 300-n)
			equal(t, name, rest, want)
			publish(t, l.Broker, "on")
			equal(t, name, l.held.all(), "id: E-301|data: on")
			if s := l.Stats(); s.Dropped != int64(300-n) || s.Resyncs != 1 || s.Delivered != int64(300+2+n) {
				t.Errorf("%s: %+v, want %d dropped, 1 resync, %d delivered", name, s, 300-n, 302+n)
			}
			l.held.leave()
			l.free.leave()
			synctest.Wait()
		}
		if len(lags) != 1 || lags[0].Events <= 10 || lags[0].Bytes < lags[0].Events*1000 || lags[0].Client == nil {
			t.Errorf("asked with %+v, want once, beyond ten events", lags)
		}
	})
}

func TestSlow_BurstMakesNobodySlow(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		l := lag(t, w, sse.BrokerConfig{OnSlowSubscriber: func(sse.SlowSubscriber) sse.BrokerPolicy {
			t.Error("asked about a reader that was never refused for long")
			return sse.BrokerPolicyClose
		}})
		for i := range 300 { // no time passes
			publish(t, l.Broker, fmt.Sprintf("%d x", i+1))
		}
		l.held.release()
		if n, rest := count(t, l.held.all(), 1); n != 300 || len(rest) != 0 {
			t.Errorf("%d events and %q", n, rest)
		}
	})
}

func TestSlow_RemoveLeavesTheConnection(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		l := lag(t, w, sse.BrokerConfig{OnSlowSubscriber: func(sse.SlowSubscriber) sse.BrokerPolicy {
			return sse.BrokerPolicyRemove
		}})
		l.overrun(t, 300)
		l.held.release()
		n, rest := count(t, l.held.all(), 1)
		if len(rest) != 1 || !strings.HasPrefix(rest[0], "event: resync|data: ") || !strings.HasSuffix(rest[0], `"reason":"removed"}`) {
			t.Fatalf("after %d events: %q, want a resync without an id", n, rest)
		}
		publish(t, l.Broker, "not for the removed")
		if err := l.client.Send(sse.Event{Data: "private"}); err != nil {
			t.Error(err)
		}
		time.Sleep(15 * time.Second)
		equal(t, "then", l.held.all(), "data: private", ":")
		if got := l.Stats().Removed; got != 1 {
			t.Errorf("%d removed, want 1", got)
		}
	})
}

func TestSlow_CloseEndsBehindACompleteEvent(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		l := lag(t, w, sse.BrokerConfig{OnSlowSubscriber: func(sse.SlowSubscriber) sse.BrokerPolicy {
			return sse.BrokerPolicyClose
		}})
		l.overrun(t, 300)
		l.held.release()
		n, rest := count(t, l.held.rest(), 1)
		equal(t, fmt.Sprintf("after %d events", n), rest, "retry: 3000", "data: bye")
		is(t, "reason", <-l.ends, sse.ErrSlowClient)
		if got := l.Stats(); got.Closed != 1 || got.Subscribers != 1 {
			t.Errorf("%+v, want one closed, one left", got)
		}
	})
}

func TestSlow_CallbackIsAskedOncePerEpisodeAndMayPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l *lagging
		asked := 0
		l = lag(t, h1, sse.BrokerConfig{OnSlowSubscriber: func(sse.SlowSubscriber) sse.BrokerPolicy {
			asked++
			publish(t, l.Broker, "from the callback", "other")
			l.SubscriberCount("")
			return sse.BrokerPolicyDrop
		}})
		for episode := range 2 {
			l.held.hold()
			l.overrun(t, 300)
			if asked != episode+1 {
				t.Errorf("asked %d times, want %d", asked, episode+1)
			}
			l.held.release()
			l.held.all()
		}
	})
}

func TestSlow_VerdictAfterRecoveryIsVoid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		decide := make(chan struct{})
		l := lag(t, h1, sse.BrokerConfig{OnSlowSubscriber: func(sse.SlowSubscriber) sse.BrokerPolicy {
			<-decide
			return sse.BrokerPolicyClose
		}})
		l.overrun(t, 300)
		l.held.release()
		if n, rest := count(t, l.held.all(), 1); n != 300 || len(rest) != 0 {
			t.Errorf("%d events and %q while the verdict is out", n, rest)
		}
		close(decide)
		publish(t, l.Broker, "on")
		equal(t, "then", l.held.all(), "id: E-301|data: on")
		if !l.held.open() {
			t.Error("closed after it had recovered")
		}
	})
}

func TestSlow_CallbackThatPanicsClosesThatClientOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lag(t, h1, sse.BrokerConfig{OnSlowSubscriber: func(sse.SlowSubscriber) sse.BrokerPolicy { panic("policy") }})
		l.overrun(t, 300)
		l.held.release()
		l.held.rest()
		is(t, "reason", <-l.ends, sse.ErrPanicked)
		if n, rest := count(t, l.free.all(), 1); n != 300 || len(rest) != 0 || l.CallbackPanics() != 1 {
			t.Errorf("the other got %d events and %q; %d panics", n, rest, l.CallbackPanics())
		}
	})
}

func TestSlow_PublishAndCloseWaitForNobody(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		l := lag(t, w, sse.BrokerConfig{})
		begin := time.Now()
		for range 300 {
			publish(t, l.Broker, strings.Repeat("x", 1000))
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("300 publishes took %v beside a reader that stands still", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin = time.Now()
		is(t, "Close", l.Close(ctx), context.DeadlineExceeded)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("Close took %v, want 3s and a moment", took)
		}
		if got := l.free.rest(); got[len(got)-1] != "data: bye" {
			t.Errorf("the free reader's last event: %q", got[len(got)-1])
		}
	})
}

func TestSlow_CatchUpLosesNothing(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		l := lag(t, w, sse.BrokerConfig{OnSlowSubscriber: func(sse.SlowSubscriber) sse.BrokerPolicy {
			return sse.BrokerPolicyCatchUp
		}})
		l.overrun(t, 300)
		l.held.release()
		if n, rest := count(t, l.held.all(), 1); n != 300 || len(rest) != 0 {
			t.Errorf("got %d events and %q, want 300", n, rest)
		}
	})
}

func TestSlow_LatestSkipsWhatIsObsoleteAndSaysSo(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		l := lag(t, w, sse.BrokerConfig{OnSlowSubscriber: func(sse.SlowSubscriber) sse.BrokerPolicy {
			return sse.BrokerPolicyLatest
		}})
		const published = 300
		for i := range published { // two keys in turn, and an event without one in the middle
			e := sse.Event{Key: fmt.Sprint(i % 2), Data: fmt.Sprintf("%d %s", i+1, strings.Repeat("x", 1000))}
			if i == published-100 {
				e.Key = ""
			}
			if _, err := l.Publish(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		l.held.release()
		n, rest := count(t, l.held.all(), 1)
		if len(rest) != 4 {
			t.Fatalf("after %d events: %d blocks %.300q, want the one without a key, the last two and the count", n, len(rest), rest)
		}
		for i, id := range []int{published - 99, published - 1, published} {
			if want := fmt.Sprintf("id: E-%d|data: %[1]d x", id); !strings.HasPrefix(rest[i], want) {
				t.Errorf("block %.30q, want %q", rest[i], want)
			}
		}
		equal(t, "count", rest[3:], fmt.Sprintf(`event: conflated|data: {"skipped":%d}`, published-n-3))
		if s := l.Stats(); s.Superseded != int64(published-n-3) || s.Dropped != 0 || s.Resyncs != 0 {
			t.Errorf("%+v, want %d superseded and nothing dropped", s, published-n-3)
		}
		publish(t, l.Broker, "on")
		equal(t, "after it", l.held.all(), "id: E-301|data: on")
	})
}
