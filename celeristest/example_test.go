package celeristest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/celeristest"
	"github.com/goceleris/celeris/middleware/sse"
)

// The functions of this file are what doc.go shows.

func newApp(t *testing.T) (*celeris.Server, *sse.Broker) {
	broker, err := sse.NewBroker(sse.BrokerConfig{SubscriberBuffer: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close(context.Background()) })
	app := celeris.New(celeris.Config{})
	app.GET("/events", sse.New(sse.Config{Broker: broker, Farewell: &sse.Event{Data: "bye"}}))
	return app, broker
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, broker := newApp(t)
		stream := celeristest.Serve(t, app, nil).Stream(t, "/events", nil)
		broker.Publish(t.Context(), sse.Event{Data: "hello"})
		if e, err := stream.Next(); err != nil || e.Data != "hello" {
			t.Errorf("got %+v, %v, want hello", e, err)
		}
	})
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, _ := newApp(t)
		stream := celeristest.Serve(t, app, nil).Stream(t, "/events", nil)
		synctest.Wait() // until everything that can happen now has happened
		opening := stream.Raw()
		time.Sleep(time.Minute)
		synctest.Wait()
		if beats := stream.Raw(); strings.Count(beats, "\n\n") != 4 {
			t.Errorf("%q, then %q in a minute, want 4 heartbeats", opening, beats)
		}
	})
}

func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, broker := newApp(t)
		site := celeristest.Serve(t, app, nil)
		slow, fast := site.Stream(t, "/events", nil), site.Stream(t, "/events", nil)
		synctest.Wait() // both have their opening
		slow.Hold()
		for range 100 {
			broker.Publish(t.Context(), sse.Event{Data: strings.Repeat("x", 1000)})
			time.Sleep(10 * time.Millisecond)
		}
		slow.Release()
		synctest.Wait()
		a, b := slow.Arrived(), fast.Arrived()
		if len(b) != 100 || len(a) == 100 || a[len(a)-1].Event != "resync" {
			t.Errorf("the slow reader got %d events, the fast one %d", len(a), len(b))
		}
	})
}

func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, broker := newApp(t)
		stream := celeristest.Serve(t, app, nil).Stream(t, "/events", nil)
		synctest.Wait()      // the opening has come, and with it an id
		stream.CutAfter(200) // somewhere among the events
		for i := range 20 {
			broker.Publish(t.Context(), sse.Event{Data: fmt.Sprint(i)})
			synctest.Wait()
		}
		if err := stream.Resume(); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if e, err := stream.Next(); err != nil || e.Data != fmt.Sprint(i) {
				t.Errorf("event %d is %+v, %v", i, e, err)
			}
		}
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, broker := newApp(t)
		site := celeristest.Serve(t, app, nil)
		stream := site.Stream(t, "/events", nil)
		broker.Publish(t.Context(), sse.Event{Data: "last"})
		if err := site.Shutdown(t.Context()); err != nil {
			t.Error(err) // something was cut, or is still running
		}
		var got []string
		for e, err := range stream.Events() {
			got = append(got, fmt.Sprint(e.Data, err))
		}
		if fmt.Sprint(got) != "[last<nil> bye<nil>]" {
			t.Errorf("got %q, want the last event and the farewell", got)
		}
	})
}
