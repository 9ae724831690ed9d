package sse_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/middleware/sse"
)

// nosy is an application's error that counts who runs its method.
type nosy struct{ asked *atomic.Int64 }

func (nosy) Error() string { return "banned" }

func (n nosy) Is(error) bool {
	n.asked.Add(1)
	return false
}

// The methods of a reason may take their time: they run where Disconnect was called, and not where streams are driven.
func TestDisconnect_ReasonRunsOnTheCallerOnly(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		var asked atomic.Int64
		told := make(chan error, 1)
		ended := make(chan celeris.StreamEnd, 1)
		b := newBroker(t, sse.BrokerConfig{})
		h := sse.New(tame(sse.Config{Broker: b, OnDisconnect: func(_ *sse.Client, reason error) { told <- reason }}))
		s := newSite(t, w, celeris.Config{}, func(c *celeris.Context) error {
			c.OnStreamEnd(func(end celeris.StreamEnd) { ended <- end })
			return h(c)
		})
		s.visit()
		synctest.Wait()
		reason := nosy{&asked}
		if n, err := b.Disconnect(func(*sse.Client) bool { return true }, reason, nil); n != 1 || err != nil {
			t.Fatalf("Disconnect = %d, %v", n, err)
		}
		inCall := asked.Load()
		if got := <-told; !errors.Is(got, error(reason)) || asked.Load() != inCall {
			t.Errorf("OnDisconnect got %v; %d calls in Disconnect, %d in all", got, inCall, asked.Load())
		}
		if end := <-ended; end.Reason != error(reason) {
			t.Errorf("the stream's end has %v", end.Reason)
		}
		synctest.Wait()
		if got := s.app.Stats().Ends[engine.EndOther]; got != 1 || asked.Load() != inCall {
			t.Errorf("%d ends of kind other; %d calls in Disconnect, %d in all", got, inCall, asked.Load())
		}
	})
}
