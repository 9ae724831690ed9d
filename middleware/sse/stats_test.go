package sse_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

func TestStats_BytesAreThoseOfTheWire(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		s := stream(t, w, sse.Config{Broker: b})
		held, free := s.visit(), s.visit()
		held.all()
		free.all()
		opening := s.app.Stats().StreamBytes
		held.hold()
		l := &lagging{Broker: b}
		l.overrun(t, 300) // what the connections don't take goes out in parts later
		held.release()
		held.all()
		free.all()
		got := b.Stats()
		if sent := s.app.Stats().StreamBytes - opening; got.DeliveredBytes != sent || sent < 2*300*1000 || got.Delivered != 600 {
			t.Errorf("delivered %d events of %d bytes, the connections took %d", got.Delivered, got.DeliveredBytes, sent)
		}
	})
}

func TestLag_CountsEachSubscriberByHowFarItIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := newBroker(t, sse.BrokerConfig{
			History: 20_000, SnapshotTimeout: time.Hour,
			// Events wait for the snapshot, so that a client is behind by what was published since it came.
			Snapshot: func(context.Context, sse.SnapshotRequest) (sse.Event, error) {
				<-release
				return sse.Event{Data: "state"}, nil
			},
		})
		if got := b.Lag(); got != (sse.LagStats{}) {
			t.Errorf("without subscribers: %+v", got)
		}
		s := stream(t, parked, sse.Config{Broker: b})
		for _, then := range []int{1, 9000, 900, 90, 9, 1, 0} {
			s.visit()
			synctest.Wait()
			for range then {
				publish(t, b, "x")
			}
		}
		synctest.Wait()
		got := b.Lag()
		want := sse.LagStats{Subscribers: 7, Current: 1, UpTo10: 2, UpTo100: 1, UpTo1000: 1, UpTo10000: 1, More: 1, Max: 10_001}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		close(release)
		synctest.Wait()
		if got, want := b.Lag(), (sse.LagStats{Subscribers: 7, Current: 7}); got != want {
			t.Errorf("when all was delivered: got %+v, want %+v", got, want)
		}
	})
}

// lines are those of a log that begin with this message, without their time.
func lines(log *bytes.Buffer, message string) (found []string) {
	for line := range strings.SplitSeq(log.String(), "\n") {
		if _, rest, ok := strings.Cut(line, `msg="`+message+`" `); ok {
			found = append(found, rest)
		}
	}
	return found
}

func TestEvictions_AreLoggedOncePerInterval(t *testing.T) {
	for name, policy := range map[string]sse.BrokerPolicy{"remove": sse.BrokerPolicyRemove, "close": sse.BrokerPolicyClose} {
		inBubbles(t, func(t *testing.T, w way) {
			var log bytes.Buffer
			b := newBroker(t, sse.BrokerConfig{
				SubscriberBuffer: 10, History: 10_000, Logger: slog.New(slog.NewTextHandler(&log, nil)),
				OnSlowSubscriber: func(sse.SlowSubscriber) sse.BrokerPolicy { return policy },
			})
			l := &lagging{Broker: b}
			s := stream(t, w, sse.Config{Broker: b})
			evict := func(n int) {
				for range n {
					held := s.visit()
					held.all()
					held.hold()
					defer held.release()
				}
				l.overrun(t, 300)
				synctest.Wait()
			}
			evict(3)
			first := lines(&log, "slow subscriber evicted")
			if len(first) != 1 || !strings.HasPrefix(first[0], "policy="+name+" remote=") || !strings.HasSuffix(first[0], " swallowed=0") ||
				!strings.Contains(first[0], " path=/ events=") {
				t.Errorf("three evictions at once: got %q, want one line", first)
			}
			time.Sleep(10 * time.Second)
			evict(1)
			if all := lines(&log, "slow subscriber evicted"); len(all) != 2 || !strings.HasSuffix(all[1], " swallowed=2") {
				t.Errorf("got %q, want a second line that tells of the other two", all)
			}
			if got := b.Stats().Evictions(); got != 4 {
				t.Errorf("%d evictions, want 4", got)
			}
		})
	}
}

func TestStalls_AreLoggedOncePerInterval(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		if w.major == 2 {
			return // a stream whose connection net/http gives up while it is idle looks like one whose peer is gone
		}
		var log bytes.Buffer
		b := newBroker(t, sse.BrokerConfig{})
		h := sse.New(sse.Config{Broker: b, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		s := newSite(t, w, celeris.Config{MaxStall: 20 * time.Second}, h)
		l := &lagging{Broker: b}
		stall := func(n int) {
			for range n {
				held := s.visit()
				held.all()
				held.hold()
				defer held.release()
			}
			l.overrun(t, 300)
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		stall(3)
		stall(1)
		got := lines(&log, "stream stalled")
		if len(got) != 2 || !strings.HasSuffix(got[0], " swallowed=0") || !strings.HasSuffix(got[1], " swallowed=2") {
			t.Fatalf("three streams stalled, then one: got %q, want two lines", got)
		}
		for _, line := range got {
			var keys []string
			for part := range strings.SplitSeq(line, " ") {
				if key, _, ok := strings.Cut(part, "="); ok {
					keys = append(keys, key)
				}
			}
			if fmt.Sprint(keys) != "[remote route path bytes duration swallowed]" || strings.Contains(line, "bytes=0 ") {
				t.Errorf("line %q", line)
			}
		}
		if n := s.app.Stats().Handlers; n != 0 {
			t.Errorf("%d lines are still being written", n)
		}
	})
}

func TestCallbacks_ThatPanicAreLoggedByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := newBroker(t, sse.BrokerConfig{
			SubscriberBuffer: 10, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			OnSlowSubscriber: func(sse.SlowSubscriber) sse.BrokerPolicy { panic("of the policy") },
			Snapshot: func(_ context.Context, r sse.SnapshotRequest) (sse.Event, error) {
				if r.Client.Request().URL.RawQuery == "panic" {
					panic("of the snapshot")
				}
				return sse.Event{}, nil
			},
		})
		s := stream(t, parked, sse.Config{Broker: b})
		s.visitAt("/?panic").rest()
		held := s.visit()
		held.all()
		held.hold()
		defer held.release()
		(&lagging{Broker: b}).overrun(t, 300)
		synctest.Wait()
		got := lines(&log, "callback panicked")
		if len(got) != 2 || !strings.HasPrefix(got[0], `callback=Snapshot panic="of the snapshot" stack=`) ||
			!strings.HasPrefix(got[1], `callback=OnSlow panic="of the policy" stack=`) {
			t.Errorf("got %q", got)
		}
	})
}
