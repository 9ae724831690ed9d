package sse_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

// chat serves streams whose handlers hand their client over and stay until its end.
func chat(t *testing.T, w way, cfg sse.Config) (*site, <-chan *sse.Client) {
	t.Helper()
	clients := make(chan *sse.Client, 16)
	cfg.Handler = func(c *sse.Client) {
		clients <- c
		<-c.Context().Done()
	}
	return stream(t, w, cfg), clients
}

// jam sends events that the connection can't take until they wait in the client's queue, n of them. The tab is held.
func jam(t *testing.T, c *sse.Client, n int) (sent int) {
	t.Helper()
	for c.QueueDepth() < n {
		if err := c.Send(sse.Event{Event: "jam", Data: strings.Repeat("x", 64<<10)}); err != nil {
			t.Fatalf("send %d: %v", sent, err)
		}
		sent++
		synctest.Wait()
	}
	return sent
}

func jams(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = "event: jam|data: " + strings.Repeat("x", 64<<10)
	}
	return all
}

func TestClient_SendsInOrder(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		p, err := sse.Prepare(sse.Event{Event: "ready", Data: "made"})
		if err != nil {
			t.Fatal(err)
		}
		tab := stream(t, w, sse.Config{Handler: func(c *sse.Client) {
			for _, err := range []error{
				c.Send(sse.Event{ID: "7", Event: "note", Data: "a\r\nb", Retry: time.Second}),
				c.SendPrepared(p), c.SendComment("one\rtwo\r\nthree"), c.SendPrepared(p), c.Send(sse.Event{}),
			} {
				if err != nil {
					t.Error(err)
				}
			}
		}}).visit()
		equal(t, "stream", tab.rest(), "retry: 3000", "id: 7|event: note|retry: 1000|data: a|data: b",
			"event: ready|data: made", ": one|: two|: three", "event: ready|data: made", "data: ")
	})
}

func TestClient_RefusesWhatCannotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, clients := chat(t, h1, sse.Config{MaxEventBytes: 20})
		tab := s.visit()
		c := <-clients
		for _, tt := range []struct {
			name string
			err  error
			want string // field of an EncodeError
		}{
			{"NUL in the id", c.Send(sse.Event{ID: "a\x00"}), "id"},
			{"line end in the id", c.Send(sse.Event{ID: "a\n"}), "id"},
			{"invalid UTF-8 in the id", c.Send(sse.Event{ID: "\xff"}), "id"},
			{"NUL in the type", c.Send(sse.Event{Event: "\x00"}), "event"},
			{"line end in the type", c.Send(sse.Event{Event: "a\rb"}), "event"},
			{"invalid UTF-8 in the type", c.Send(sse.Event{Event: "\xc0"}), "event"},
			{"invalid UTF-8 in the data", c.Send(sse.Event{Data: "\xed\xa0\x80"}), "data"},
			{"negative retry", c.Send(sse.Event{Retry: -time.Second}), "retry"},
			{"invalid UTF-8 in a comment", c.SendComment("\xff"), "comment"},
		} {
			if e, ok := errors.AsType[*sse.EncodeError](tt.err); !ok || e.Field != tt.want {
				t.Errorf("%s: error %v, want one about %q", tt.name, tt.err, tt.want)
			}
		}
		// The wire form of these twelve bytes has twenty.
		if err := c.Send(sse.Event{Data: "123456789012"}); err != nil {
			t.Errorf("at the limit: %v", err)
		}
		is(t, "above the limit", c.Send(sse.Event{Data: "1234567890123"}), sse.ErrEventTooLarge)
		is(t, "lines above the limit", c.Send(sse.Event{Data: "1\n2\n3\n4"}), sse.ErrEventTooLarge)
		is(t, "data above the limit", c.Send(sse.Event{Data: strings.Repeat("x", 21)}), sse.ErrEventTooLarge)
		equal(t, "stream", tab.all(), "retry: 3000", "data: 123456789012")
	})
}

func TestClient_IDsAreReservedWhereTheyArePositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		s, clients := chat(t, h1, sse.Config{OnConnect: func(c *sse.Client) error {
			_, err := b.Subscribe(c)
			return err
		}})
		s.visit()
		is(t, "Send with a broker", (<-clients).Send(sse.Event{ID: "1"}), sse.ErrIDReserved)
		_, err := b.Publish(t.Context(), sse.Event{ID: "1"})
		is(t, "Publish", err, sse.ErrIDReserved)
		_, err = sse.Prepare(sse.Event{ID: "1"})
		is(t, "Prepare", err, sse.ErrIDReserved)
		_, err = b.Disconnect(func(*sse.Client) bool { return true }, nil, &sse.Farewell{Event: &sse.Event{ID: "1"}})
		is(t, "Disconnect", err, sse.ErrIDReserved)

		s, clients = chat(t, h1, sse.Config{
			ReplayStore: sse.NewRingBuffer(0), ReplayKey: func(*celeris.Context) (string, error) { return "k", nil },
		})
		s.visit()
		is(t, "Send with a key", (<-clients).Send(sse.Event{ID: "1"}), sse.ErrIDReserved)
	})
}

func TestDisconnect_RefusesARetryThatCannotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		tab := stream(t, h1, sse.Config{Broker: b}).visit()
		for _, d := range []time.Duration{-time.Second, time.Microsecond} {
			n, err := b.Disconnect(func(*sse.Client) bool { return true }, nil, &sse.Farewell{Retry: d})
			if e, ok := errors.AsType[*sse.EncodeError](err); n != 0 || !ok || e.Field != "retry" {
				t.Errorf("%v: %d closed, error %v", d, n, err)
			}
		}
		if !tab.open() {
			t.Error("the stream was closed")
		}
	})
}

func TestClient_DropPolicyTellsWhatIsLost(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		s, clients := chat(t, w, sse.Config{
			MaxQueueDepth: 3, OnSlowClient: func(*sse.Client) sse.ClientPolicy { return sse.ClientPolicyDrop },
		})
		tab := s.visit()
		tab.all()
		c := <-clients
		tab.hold()
		sent := jam(t, c, 3)
		for i := range 5 {
			if err := c.Send(sse.Event{Data: "lost"}); err != sse.ErrQueueFull {
				t.Errorf("send %d: error %v, want %v", i, err, sse.ErrQueueFull)
			}
		}
		if got := c.DroppedEvents(); got != 5 || c.QueueDepth() != 3 {
			t.Errorf("dropped %d with %d waiting, want 5 and 3", got, c.QueueDepth())
		}
		tab.release()
		synctest.Wait()
		if got := c.QueueDepth(); got != 0 {
			t.Errorf("%d still wait", got)
		}
		if err := c.Send(sse.Event{Data: "next"}); err != nil {
			t.Error(err)
		}
		equal(t, "stream", tab.all(), append(jams(sent), `event: resync|data: {"dropped":5,"reason":"private"}`, "data: next")...)
	})
}

func TestClient_ClosePolicySendsWhatIsQueuedThenFarewell(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		reasons := make(chan error, 1)
		s, clients := chat(t, w, sse.Config{
			MaxQueueDepth: 2, OnSlowClient: func(*sse.Client) sse.ClientPolicy { return sse.ClientPolicyClose },
			Farewell: &sse.Event{Data: "bye"}, OnDisconnect: func(_ *sse.Client, reason error) { reasons <- reason },
		})
		tab := s.visit()
		tab.all()
		c := <-clients
		tab.hold()
		sent := jam(t, c, 2)
		is(t, "send above the depth", c.Send(sse.Event{Data: "x"}), sse.ErrClientClosed)
		is(t, "send after it", c.Send(sse.Event{Data: "x"}), sse.ErrClientClosed)
		if got := c.DroppedEvents(); got != 1 {
			t.Errorf("dropped %d, want 1", got)
		}
		tab.release()
		equal(t, "stream", tab.rest(), append(jams(sent), "retry: 3000", "data: bye")...)
		is(t, "reason", <-reasons, sse.ErrSlowClient)
		is(t, "cause", context.Cause(c.Context()), sse.ErrSlowClient)
	})
}

func TestClient_BlockPolicyWaitsForRoom(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		s, clients := chat(t, w, sse.Config{MaxQueueDepth: 2})
		tab := s.visit()
		tab.all()
		c := <-clients
		tab.hold()
		sent := jam(t, c, 2)
		results := make(chan error, 8)
		for range 8 {
			go func() { results <- c.Send(sse.Event{Data: "waited"}) }()
		}
		time.Sleep(10 * time.Second)
		if synctest.Wait(); len(results) != 0 {
			t.Errorf("%d sends did not wait", len(results))
		}
		tab.release()
		want := jams(sent)
		for range 8 {
			if err := <-results; err != nil {
				t.Error(err)
			}
			want = append(want, "data: waited")
		}
		equal(t, "stream", tab.all(), want...)
		if c.DroppedEvents() != 0 {
			t.Errorf("dropped %d", c.DroppedEvents())
		}
	})
}

func TestClient_BlockedSendsEndWithTheStream(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(c *sse.Client, tab *tab)
	}{
		{"Close", func(c *sse.Client, _ *tab) { c.Close() }},
		{"the client leaves", func(_ *sse.Client, tab *tab) { tab.leave() }},
		{"MaxStall", func(*sse.Client, *tab) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, clients := chat(t, h1, sse.Config{MaxQueueDepth: 2})
				tab := s.visit()
				tab.all()
				c := <-clients
				tab.hold()
				jam(t, c, 2)
				results := make(chan error, 8)
				for range 8 {
					go func() { results <- c.Send(sse.Event{Data: "waited"}) }()
				}
				synctest.Wait()
				tt.end(c, tab)
				for range 8 {
					is(t, "blocked send", <-results, sse.ErrClientClosed)
				}
			})
		})
	}
}

func TestClient_PolicyThatPanicsDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, clients := chat(t, h1, sse.Config{MaxQueueDepth: 1, OnSlowClient: func(*sse.Client) sse.ClientPolicy { panic("policy") }})
		tab := s.visit()
		tab.all()
		tab.hold()
		c := <-clients
		jam(t, c, 1)
		is(t, "send", c.Send(sse.Event{Data: "x"}), sse.ErrQueueFull)
	})
}

func TestClient_SendNeverPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var early *sse.Client
		s, clients := chat(t, h1, sse.Config{
			MaxQueueDepth: 4, OnSlowClient: func(*sse.Client) sse.ClientPolicy { return sse.ClientPolicyDrop },
			OnConnect: func(c *sse.Client) error {
				early = c
				for _, err := range []error{c.Send(sse.Event{}), c.SendComment("x")} {
					is(t, "send in OnConnect", err, sse.ErrNotStarted)
				}
				return nil
			},
		})
		tab := s.visit()
		c := <-clients
		if c != early {
			t.Error("OnConnect and Handler got different clients")
		}
		p, err := sse.Prepare(sse.Event{Data: "p"})
		if err != nil {
			t.Fatal(err)
		}
		var senders sync.WaitGroup
		stop := make(chan struct{})
		for range 8 {
			senders.Go(func() {
				for {
					for _, err := range []error{c.Send(sse.Event{Data: "x"}), c.SendPrepared(p), c.SendComment("x")} {
						if err != nil && err != sse.ErrClientClosed && err != sse.ErrQueueFull {
							t.Errorf("send: %v", err)
						}
					}
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
				}
			})
		}
		time.Sleep(10 * time.Millisecond)
		c.Close()
		c.Close()
		tab.rest()
		time.Sleep(10 * time.Millisecond)
		close(stop)
		senders.Wait()
		is(t, "send after the end", c.Send(sse.Event{}), sse.ErrClientClosed)
		is(t, "prepared after the end", c.SendPrepared(p), sse.ErrClientClosed)
		is(t, "comment after the end", c.SendComment(""), sse.ErrClientClosed)
		if c.QueueDepth() != 0 {
			t.Errorf("%d events wait for a stream that has ended", c.QueueDepth())
		}
	})
}

func TestClient_PrivateEventsKeepTheirPlace(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		s, clients := chat(t, w, sse.Config{OnConnect: func(c *sse.Client) error {
			_, err := b.Subscribe(c, "a")
			return err
		}})
		tab := s.visit()
		tab.all()
		c := <-clients
		tab.hold()
		publish(t, b, "1", "a")
		publish(t, b, "2", "a")
		if err := c.Send(sse.Event{Data: "mine"}); err != nil {
			t.Error(err)
		}
		publish(t, b, "3", "a")
		tab.release()
		equal(t, "stream", tab.all(), "id: E-1|data: 1", "id: E-2|data: 2", "data: mine", "id: E-3|data: 3")
	})
}

func TestClient_KeepsValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		clients := make(chan *sse.Client, 1)
		h := sse.New(tame(sse.Config{Handler: func(c *sse.Client) {
			clients <- c
			<-c.Context().Done()
		}}))
		s := newSite(t, h1, celeris.Config{}, func(c *celeris.Context) error {
			ctx, cancel := context.WithCancel(context.WithValue(c.Context(), key{}, "of the request"))
			defer cancel() // a middleware whose context ends with it
			c.SetRequest(c.Request().WithContext(ctx))
			return h(c)
		})
		tab := s.visitAt("/?x=1")
		c := <-clients
		synctest.Wait()
		if err := c.Context().Err(); err != nil {
			t.Errorf("the context ended with the middleware: %v", err)
		}
		if got := c.Context().Value(key{}); got != "of the request" {
			t.Errorf("value %v", got)
		}
		if c.Request().URL.RawQuery != "x=1" || c.RemoteAddr() != tab.conn.LocalAddr().String() {
			t.Errorf("request %v from %s", c.Request().URL, c.RemoteAddr())
		}
		if _, ok := c.Get("k"); ok {
			t.Error("a value that nobody set")
		}
		c.Set("k", 7)
		if v, ok := c.Get("k"); !ok || v != 7 {
			t.Errorf("Get = %v, %v", v, ok)
		}
	})
}

func TestQueue_IsBoundedInBytesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, clients := chat(t, h1, sse.Config{
			MaxQueueBytes: 100_000, MaxQueueDepth: 1000,
			OnSlowClient: func(*sse.Client) sse.ClientPolicy { return sse.ClientPolicyDrop },
		})
		tab := s.visit()
		c := <-clients
		synctest.Wait()
		tab.hold()
		// One event that is larger than the bound has room, when nothing else waits.
		for _, size := range []int{200_000, 200_000} {
			if err := c.Send(sse.Event{Data: strings.Repeat("x", size)}); err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			synctest.Wait()
		}
		if err := c.Send(sse.Event{Data: "y"}); !errors.Is(err, sse.ErrQueueFull) {
			t.Errorf("beyond the bound: %v, want %v", err, sse.ErrQueueFull)
		}
		if got := c.QueueDepth(); got != 1 {
			t.Errorf("%d events wait, want 1", got)
		}
	})
}
