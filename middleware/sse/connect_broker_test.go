package sse_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// TestConnect_MissesNothingOfABroker cuts a client again and again, over every protocol.
func TestConnect_MissesNothingOfABroker(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		const events, opened = 300, 20
		b := newBroker(t, sse.BrokerConfig{})
		s := stream(t, w, sse.Config{Broker: b, MaxAge: time.Second, RetryInterval: 100 * time.Millisecond})
		go func() {
			for n := range events {
				time.Sleep(100 * time.Millisecond)
				publish(t, b, fmt.Sprint(n))
			}
		}()
		r, err := http.NewRequest(http.MethodGet, s.url(), nil)
		if err != nil {
			t.Fatal(err)
		}
		opens := 0
		client := s.client()
		defer client.CloseIdleConnections()
		source := sse.Connect(t.Context(), r, &sse.ConnectOptions{
			Client: client,
			OnOpen: func(*http.Response) { opens++ },
		})
		n := 0
		for event, err := range source.Events() {
			if err != nil {
				t.Fatal(err)
			}
			if event.Data != fmt.Sprint(n) {
				t.Fatalf("event %d is %+v", n, event)
			}
			if n++; n == events {
				break
			}
		}
		if opens < opened/2 {
			t.Errorf("the stream was opened %d times: nothing was resumed", opens)
		}
	})
}

func TestParseResync(t *testing.T) {
	event := sse.Event{ID: "e-7", Event: "resync", Data: `{"dropped":3,"reason":"lagged"}`}
	got, ok := sse.ParseResync(event)
	if !ok || *got != (sse.ResyncError{Reason: "lagged", Dropped: 3, ID: "e-7"}) {
		t.Errorf("ParseResync = %+v, %v", got, ok)
	}
	for _, e := range []sse.Event{
		{Data: event.Data}, {Event: "resync"}, {Event: "resync", Data: `[]`}, {Event: "resync", Data: `{"dropped":3}`},
		{Event: "resync", Data: `{"reason":"lagged"}`}, {Event: "Resync", Data: event.Data},
	} {
		if got, ok := sse.ParseResync(e); ok {
			t.Errorf("ParseResync(%+v) = %+v, want none", e, got)
		}
	}
}

func TestConnect_SeesAResync(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		s := stream(t, w, sse.Config{Broker: b})
		r, err := http.NewRequest(http.MethodGet, s.url(), nil)
		if err != nil {
			t.Fatal(err)
		}
		client := s.client()
		defer client.CloseIdleConnections()
		for event, err := range sse.Connect(t.Context(), r, &sse.ConnectOptions{Client: client, LastEventID: "other-5"}).Events() {
			if resync, ok := sse.ParseResync(event); !ok || resync.Reason != "restarted" || err != nil {
				t.Errorf("first event %+v, %v, want a resync", event, err)
			}
			break
		}
	})
}
