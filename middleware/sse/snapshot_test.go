package sse_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// stuckSnapshot ignores its context until release is closed.
func stuckSnapshot(release <-chan struct{}) func(context.Context, sse.SnapshotRequest) (sse.Event, error) {
	return func(context.Context, sse.SnapshotRequest) (sse.Event, error) {
		<-release
		return sse.Event{}, nil
	}
}

func TestSnapshot_ComesFirstAndEventsGoOnFromIt(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		requests, build := make(chan sse.SnapshotRequest, 1), make(chan struct{})
		b := newBroker(t, sse.BrokerConfig{Snapshot: func(_ context.Context, r sse.SnapshotRequest) (sse.Event, error) {
			requests <- r
			<-build
			return sse.Event{Event: "state", Data: "all of it"}, nil
		}})
		publish(t, b, "1", "a")
		id := publish(t, b, "2", "b")
		tab := stream(t, w, sse.Config{Broker: b, Topics: on("a", "c")}).visit()
		r := <-requests
		slices.Sort(r.Topics)
		if r.Client == nil || !slices.Equal(r.Topics, []string{"a", "c"}) || r.Reason != "new" || r.Dropped != 0 || r.ID != id {
			t.Errorf("request %+v, want one for a and c, as of %s", r, id)
		}
		publish(t, b, "3", "a")
		if err := r.Client.Send(sse.Event{Data: "private"}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		equal(t, "meanwhile", tab.all(), "retry: 3000")
		close(build)
		equal(t, "then", tab.all(), "id: E-2|event: state|data: all of it", "id: E-3|data: 3", "data: private")
		if s := b.Stats(); s.Resyncs != 0 || s.Callbacks != 0 {
			t.Errorf("%+v: a first snapshot is no resync", s)
		}
	})
}

func TestSnapshot_ReplacesTheResyncOfALaggingClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []sse.SnapshotRequest
		l := lag(t, h1, sse.BrokerConfig{})
		l.held.leave()
		l.free.leave()
		b := newBroker(t, sse.BrokerConfig{
			SubscriberBuffer: 10, History: 10_000,
			Snapshot: func(_ context.Context, r sse.SnapshotRequest) (sse.Event, error) {
				asked = append(asked, r)
				return sse.Event{Event: "state", Data: r.Reason}, nil
			},
		})
		tab := stream(t, h1, sse.Config{Broker: b}).visit()
		equal(t, "opening", tab.all(), "retry: 3000", "id: E-0|event: state|data: new")
		tab.hold()
		l.Broker = b
		l.overrun(t, 300)
		tab.release()
		n, rest := count(t, tab.all(), 1)
		equal(t, "after the lag", rest, "id: E-300|event: state|data: lagged")
		if len(asked) != 2 || asked[1].Dropped != 300-n || asked[1].Reason != "lagged" {
			t.Errorf("asked %+v, want once for a loss of %d", asked, 300-n)
		}
		publish(t, b, "on")
		equal(t, "then", tab.all(), "id: E-301|data: on")
	})
}

func TestSnapshot_FailuresFallBackToTheResync(t *testing.T) {
	for _, tt := range []struct {
		name     string
		snapshot func() (sse.Event, error)
		ends     bool
	}{
		{"error", func() (sse.Event, error) { return sse.Event{}, errors.New("database") }, false},
		{"event that can't be encoded", func() (sse.Event, error) { return sse.Event{Event: "a\nb"}, nil }, false},
		{"event with an id", func() (sse.Event, error) { return sse.Event{ID: "1"}, nil }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t, sse.BrokerConfig{
				Snapshot: func(context.Context, sse.SnapshotRequest) (sse.Event, error) { return tt.snapshot() },
			})
			s := stream(t, h1, sse.Config{Broker: b})
			equal(t, tt.name+", known client", s.visit("Last-Event-Id", "old-3").all(), "retry: 3000|id: E-3",
				`id: E-0|event: resync|data: {"dropped":0,"reason":"restarted"}`)
			tab := s.visit()
			equal(t, tt.name+", new client", tab.all(), "retry: 3000", "id: E-0")
			publish(t, b, "on")
			equal(t, tt.name, tab.all(), "id: E-1|data: on")
		})
	}
}

func TestSnapshot_EndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		causes := make(chan error, 1)
		b := newBroker(t, sse.BrokerConfig{Snapshot: func(ctx context.Context, _ sse.SnapshotRequest) (sse.Event, error) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return sse.Event{}, ctx.Err()
		}})
		tab := stream(t, h1, sse.Config{Broker: b}).visit()
		begin := time.Now()
		tab.leave()
		if err := <-causes; errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > time.Second {
			t.Errorf("the snapshot ran on for %v: %v", time.Since(begin), err)
		}
	})
}

func TestSnapshot_PanicClosesThatClientOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{Snapshot: func(_ context.Context, r sse.SnapshotRequest) (sse.Event, error) {
			if r.Reason != "new" {
				panic("snapshot")
			}
			return sse.Event{Data: "state"}, nil
		}})
		reasons := make(chan error, 2)
		s := stream(t, h1, sse.Config{Broker: b, OnDisconnect: func(_ *sse.Client, reason error) { reasons <- reason }})
		other := s.visit()
		synctest.Wait() // its snapshot is as of now
		equal(t, "stream", s.visit("Last-Event-Id", "old-1").rest(), "retry: 3000|id: E-1")
		is(t, "reason", <-reasons, sse.ErrPanicked)
		publish(t, b, "x")
		equal(t, "the other", other.all(), "retry: 3000", "id: E-0|data: state", "id: E-1|data: x")
		if b.CallbackPanics() != 1 {
			t.Errorf("%d panics", b.CallbackPanics())
		}
	})
}

func TestSnapshot_AboveMaxCallbacksIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := newBroker(t, sse.BrokerConfig{MaxCallbacks: 3, Snapshot: stuckSnapshot(release), SnapshotTimeout: time.Hour})
		s := stream(t, h1, sse.Config{Broker: b, HeartbeatInterval: 24 * time.Hour})
		var waiting, served int
		for range 5 {
			switch got := strings.Join(s.visit("Last-Event-Id", "old-1").all(), " "); {
			case strings.HasSuffix(got, fmt.Sprintf(`{"dropped":0,"reason":%q}`, "restarted")):
				served++
			case got == "retry: 3000|id: E-1":
				waiting++
			default:
				t.Errorf("stream %q", got)
			}
		}
		if waiting != 3 || served != 2 || b.Stats().Callbacks != 3 {
			t.Errorf("%d wait for snapshots, %d got resyncs, %d callbacks", waiting, served, b.Stats().Callbacks)
		}
		close(release)
	})
}
