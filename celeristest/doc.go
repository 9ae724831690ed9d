// Package celeristest tests what streams events: it serves a handler on a network in memory, reads its event streams as a
// browser does, and makes readers and connections misbehave on demand.
//
// # Usage
//
// Inside a bubble of [testing/synctest] nothing takes time, and a test can wait until all that can happen has happened.
// With an application such as this
//
//	func newApp(t *testing.T) (*celeris.Server, *sse.Broker) {
//		broker, err := sse.NewBroker(sse.BrokerConfig{SubscriberBuffer: 10})
//		if err != nil {
//			t.Fatal(err)
//		}
//		t.Cleanup(func() { broker.Close(context.Background()) })
//		app := celeris.New(celeris.Config{})
//		app.GET("/events", sse.New(sse.Config{Broker: broker, Farewell: &sse.Event{Data: "bye"}}))
//		return app, broker
//	}
//
// a test of its stream is
//
//	func TestEvents(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			app, broker := newApp(t)
//			stream := celeristest.Serve(t, app, nil).Stream(t, "/events", nil)
//			broker.Publish(t.Context(), sse.Event{Data: "hello"})
//			if e, err := stream.Next(); err != nil || e.Data != "hello" {
//				t.Errorf("got %+v, %v, want hello", e, err)
//			}
//		})
//	}
//
// [Serve] takes every [http.Handler], [Options] say whether HTTP/1.1 or HTTP/2 is spoken and how
// streams are driven. [Site.Client] is for ordinary
// requests. A [Stream] reads all the time, as an EventSource does, and keeps events until the test takes them. A response
// that is no event stream fails the test with its status and its body; to test a rejection, use the client.
//
// All of it works outside of bubbles too. What is said about time then takes that time.
//
// # Time
//
// There is no clock but that of the bubble: time.Sleep lets time pass, synctest.Wait lets everything else happen.
// [Site.Stream] returns with the head of the response: what the server sends next, a broker's first id among it, may still
// be under way. Call synctest.Wait before Hold, CutAfter, Reset, Resume and Raw if the test depends on it: a stream that is
// resumed before it has got an id comes back as a new client.
//
// Heartbeats dispatch no events; they are seen in [Stream.Raw]: with a broker "id: " and the position, with a Handler ":",
// and a blank line.
//
//	func TestHeartbeat(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			app, _ := newApp(t)
//			stream := celeristest.Serve(t, app, nil).Stream(t, "/events", nil)
//			synctest.Wait() // until everything that can happen now has happened
//			opening := stream.Raw()
//			time.Sleep(time.Minute)
//			synctest.Wait()
//			if beats := stream.Raw(); strings.Count(beats, "\n\n") != 4 {
//				t.Errorf("%q, then %q in a minute, want 4 heartbeats", opening, beats)
//			}
//		})
//	}
//
// [Stream.Next] waits for a minute at most, or [StreamOptions.Patience]: a server with heartbeats never lets a bubble come
// to rest, so a test that waited for an event that doesn't come would not even be told of a deadlock.
//
// # Slow readers
//
// [Stream.Hold] makes a reader stand still. When [Options.Buffer] and the buffers of net/http are full, the server's
// writes wait, and with time the server's limits apply. Time has to pass for that: it is no sign of slowness that a burst
// fills a buffer. Three things have to be exceeded: Options.Buffer, so that small events need a smaller one, then the
// broker's SubscriberBuffer or MaxLagBytes, and over HTTP/2 or with Options.Goroutines a quarter of a second.
//
//	func TestSlowReader(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			app, broker := newApp(t)
//			site := celeristest.Serve(t, app, nil)
//			slow, fast := site.Stream(t, "/events", nil), site.Stream(t, "/events", nil)
//			synctest.Wait() // both have their opening
//			slow.Hold()
//			for range 100 {
//				broker.Publish(t.Context(), sse.Event{Data: strings.Repeat("x", 1000)})
//				time.Sleep(10 * time.Millisecond)
//			}
//			slow.Release()
//			synctest.Wait()
//			a, b := slow.Arrived(), fast.Arrived()
//			if len(b) != 100 || len(a) == 100 || a[len(a)-1].Event != "resync" {
//				t.Errorf("the slow reader got %d events, the fast one %d", len(a), len(b))
//			}
//		})
//	}
//
// # Cutting
//
// [Stream.CutAfter] breaks the connection after so many bytes of the body, wherever in an event that is; [Stream.Reset]
// does it now, [Stream.CloseWrite] closes one direction and [Stream.Close] leaves. [Stream.Resume] comes back with the
// last event id, after the reconnection time that the server has asked for.
//
//	func TestResume(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			app, broker := newApp(t)
//			stream := celeristest.Serve(t, app, nil).Stream(t, "/events", nil)
//			synctest.Wait()      // the opening has come, and with it an id
//			stream.CutAfter(200) // somewhere among the events
//			for i := range 20 {
//				broker.Publish(t.Context(), sse.Event{Data: fmt.Sprint(i)})
//				synctest.Wait()
//			}
//			if err := stream.Resume(); err != nil {
//				t.Fatal(err)
//			}
//			for i := range 20 {
//				if e, err := stream.Next(); err != nil || e.Data != fmt.Sprint(i) {
//					t.Errorf("event %d is %+v, %v", i, e, err)
//				}
//			}
//		})
//	}
//
// # Shutdown
//
// At the end of the test streams are closed, then clients, and then the server is shut down. If a handler or a stream
// doesn't end with its client, the test fails and names the route. A test of the shutdown itself calls [Site.Shutdown],
// or that of the server:
//
//	func TestDrain(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			app, broker := newApp(t)
//			site := celeristest.Serve(t, app, nil)
//			stream := site.Stream(t, "/events", nil)
//			broker.Publish(t.Context(), sse.Event{Data: "last"})
//			if err := site.Shutdown(t.Context()); err != nil {
//				t.Error(err) // something was cut, or is still running
//			}
//			var got []string
//			for e, err := range stream.Events() {
//				got = append(got, fmt.Sprint(e.Data, err))
//			}
//			if fmt.Sprint(got) != "[last<nil> bye<nil>]" {
//				t.Errorf("got %q, want the last event and the farewell", got)
//			}
//		})
//	}
//
// # Pitfalls
//
//   - Make everything inside the bubble: the server, the broker, the site, the streams. Channels and timers of one bubble
//     panic in another, and outside.
//   - A Server can be served once, since it is shut down at the end: make one for each test.
//   - Close the broker, or the bubble ends with "deadlock: main bubble goroutine has exited". Register its Close with
//     t.Cleanup before calling Serve, so that it runs after the site is shut down.
//   - The end of a stream is seen before its Handler and OnDisconnect have returned: call synctest.Wait before looking at
//     what they wrote.
//   - Inside a bubble, use t.Context for publishing and not for something that has to outlive the test's function: it ends
//     before functions of t.Cleanup run.
//   - Streams over HTTP/1.1 are parked here, by the logic that engines of real networks are to share; today's servers drive
//     each by a goroutine. Options.Goroutines does that. TLS isn't spoken.
package celeristest
