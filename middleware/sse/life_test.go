package sse_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/celeristest"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/middleware/sse"
)

func TestHandler_ReturningEndsTheStreamAfterItsEvents(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		reasons, clients := make(chan error, 1), make(chan *sse.Client, 1)
		tab := stream(t, w, sse.Config{
			Handler: func(c *sse.Client) {
				clients <- c
				if _, err := b.Subscribe(c); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second) // the position is told to a stream that goes on
				publish(t, b, "a")
				if err := c.Send(sse.Event{Data: "b"}); err != nil {
					t.Error(err)
				}
				publish(t, b, "c")
			},
			OnDisconnect: func(_ *sse.Client, reason error) { reasons <- reason },
		}).visit()
		equal(t, "stream", tab.rest(), "retry: 3000", "id: E-0", "id: E-1|data: a", "data: b", "id: E-2|data: c")
		if err := <-reasons; err != nil {
			t.Errorf("reason %v, want none", err)
		}
		is(t, "cause", context.Cause((<-clients).Context()), context.Canceled)
	})
}

func TestHandler_PanicEndsOneStreamOnly(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		var log bytes.Buffer
		var s *site
		reasons := make(chan error, 2)
		s = stream(t, w, sse.Config{
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Handler: func(c *sse.Client) {
				if _, err := b.Subscribe(c); err != nil {
					t.Error(err)
				}
				if c.Request().URL.RawQuery == "panic" {
					panic("of the handler")
				}
				<-c.Context().Done()
			},
			OnDisconnect: func(_ *sse.Client, reason error) { reasons <- reason },
		})
		other := s.visit()
		other.all()
		s.visitAt("/?panic").rest()
		is(t, "reason", <-reasons, sse.ErrPanicked)
		if b.CallbackPanics() != 1 || !strings.Contains(log.String(), "of the handler") {
			t.Errorf("%d panics, log %q", b.CallbackPanics(), log.String())
		}
		publish(t, b, "a")
		equal(t, "the other", other.all(), "id: E-1|data: a")
	})
}

func TestOnConnect_RejectsBeforeAnyByte(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		s := stream(t, w, sse.Config{
			Broker:       b,
			OnConnect:    func(*sse.Client) error { return celeris.NewHTTPError(http.StatusUnauthorized, "who are you") },
			OnDisconnect: func(*sse.Client, error) { t.Error("OnDisconnect of a client that was rejected") },
		})
		res, body := s.status("GET", "/")
		if res.StatusCode != 401 || body != "who are you\n" || res.Header.Get("Content-Type") == "text/event-stream" {
			t.Errorf("%d %q %q, want 401", res.StatusCode, res.Header.Get("Content-Type"), body)
		}
		if got := b.Stats().Subscribers; got != 0 {
			t.Errorf("%d subscribers left", got)
		}
	})
}

func TestOnConnect_PanicLeavesNothing(t *testing.T) {
	b := newBroker(t, sse.BrokerConfig{})
	var client *sse.Client
	h := sse.New(tame(sse.Config{
		Broker: b,
		OnConnect: func(c *sse.Client) error {
			client = c
			panic("of OnConnect")
		},
		OnDisconnect: func(*sse.Client, error) { t.Error("OnDisconnect of a client that was not accepted") },
	}))
	func() {
		defer func() { _ = recover() }()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}()
	if b.Stats().Subscribers != 0 || client.Context().Err() == nil {
		t.Errorf("%d subscribers left, context %v", b.Stats().Subscribers, client.Context().Err())
	}
	is(t, "send", client.Send(sse.Event{}), sse.ErrClientClosed)
}

func TestOnConnect_SubscribesTheOpeningSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		s, clients := chat(t, h1, sse.Config{OnConnect: func(c *sse.Client) error {
			if _, err := b.Subscribe(c, "a"); err != nil {
				return err
			}
			_, err := b.Subscribe(c, "b")
			return err
		}})
		first := publish(t, b, "1", "a")
		publish(t, b, "2", "b")
		publish(t, b, "3", "c")
		publish(t, b, "4", "a")
		tab := s.visit("Last-Event-Id", first)
		equal(t, "resumed", tab.all(), "retry: 3000|id: E-1", "id: E-2|data: 2", "id: E-4|data: 4")
		// One that is joined later begins with the next event.
		unsubscribe, err := b.Subscribe(<-clients, "c")
		if err != nil {
			t.Fatal(err)
		}
		publish(t, b, "5", "c")
		equal(t, "joined", tab.all(), "id: E-5|data: 5")
		publish(t, b, "6", "c")
		unsubscribe()
		unsubscribe()
		publish(t, b, "7", "c")
		publish(t, b, "8", "b")
		equal(t, "left", tab.all(), "id: E-6|data: 6", "id: E-8|data: 8")
	})
}

func TestSubscribe_InHandlerResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		s := stream(t, h1, sse.Config{Handler: func(c *sse.Client) {
			if _, err := b.Subscribe(c, "a"); err != nil {
				t.Error(err)
			}
			<-c.Context().Done()
		}})
		first := publish(t, b, "1", "a")
		publish(t, b, "2", "a")
		got := s.visit("Last-Event-Id", first).all()
		if n := len(got); n == 0 || got[n-1] != "id: E-2|data: 2" || strings.Contains(strings.Join(got, " "), "data: 1") {
			t.Errorf("stream %q, want one that goes on with 2", got)
		}
		other := newBroker(t, sse.BrokerConfig{})
		for c := range b.Clients("a") {
			_, err := other.Subscribe(c, "x")
			is(t, "another broker", err, sse.ErrOtherBroker)
		}
	})
}

var errBanned = errors.New("banned")

func TestOnDisconnect_IsOnceLastAndKnowsWhy(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(w *world)
		want error
		last string // what the client read last, "" if it doesn't matter
	}{
		{"client leaves", func(w *world) { w.tab.leave() }, engine.ErrPeerGone, ""},
		{"client half-closes", func(w *world) { w.tab.conn.(*memnet.Conn).CloseWrite() }, engine.ErrPeerGone, ""},
		{"connection is reset", func(w *world) { w.tab.conn.(*memnet.Conn).Reset() }, engine.ErrPeerGone, ""},
		{"Close", func(w *world) { w.client.Close() }, nil, "data: a"},
		{"Disconnect", func(w *world) {
			n, err := w.Disconnect(func(c *sse.Client) bool { return c == w.client }, errBanned,
				&sse.Farewell{Event: &sse.Event{Data: "out"}, Retry: time.Minute})
			if n != 1 || err != nil {
				w.t.Errorf("Disconnect = %d, %v", n, err)
			}
		}, errBanned, "data: out"},
		{"broker closes", func(w *world) {
			if err := w.Broker.Close(context.Background()); err != nil {
				w.t.Error(err)
			}
		}, sse.ErrClosed, "data: bye"},
		{"server shuts down", func(w *world) {
			if err := w.app.Shutdown(context.Background()); err != nil {
				w.t.Error(err)
			}
		}, engine.ErrShutdown, "data: bye"},
		{"age", func(*world) { time.Sleep(time.Hour) }, sse.ErrMaxAge, "data: bye"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, parked := range []bool{true, false} {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, parked)
					publish(t, w.Broker, "a")
					w.tab.all()
					tt.end(w)
					blocks := w.tab.rest()
					got := <-w.ends
					synctest.Wait()
					if len(w.ends) != 0 {
						t.Error("OnDisconnect ran twice")
					}
					if tt.want == nil && got.reason != nil || !errors.Is(got.reason, tt.want) {
						t.Errorf("OnDisconnect: reason %v, want %v", got.reason, tt.want)
					}
					if !errors.Is(got.sent, sse.ErrClientClosed) || !parked && !got.handlerDone {
						t.Errorf("OnDisconnect came before the end: send %v, handler done %v", got.sent, got.handlerDone)
					}
					if cause := context.Cause(w.client.Context()); tt.want != nil && !errors.Is(cause, tt.want) {
						t.Errorf("cause %v, want %v", cause, tt.want)
					}
					select {
					case end := <-w.streamEnds:
						if !errors.Is(end.Reason, tt.want) || end.Bytes == 0 || tt.want == sse.ErrMaxAge && end.Duration < time.Hour {
							t.Errorf("OnStreamEnd: %+v", end)
						}
					default:
						t.Error("OnStreamEnd did not run")
					}
					if tt.last != "" && tt.last != "data: a" && (len(blocks) == 0 || blocks[len(blocks)-1] != tt.last) {
						t.Errorf("last blocks %q, want %q at the end", blocks, tt.last)
					}
				})
			}
		})
	}
}

// world is one tab of a broker, with what is told about its end.
type world struct {
	*site
	*sse.Broker
	t          *testing.T
	tab        *tab
	client     *sse.Client
	ends       chan farewell
	streamEnds chan celeris.StreamEnd
}

type farewell struct {
	reason, sent error
	handlerDone  bool
}

func newWorld(t *testing.T, parked bool) *world {
	w := &world{t: t, Broker: newBroker(t, sse.BrokerConfig{}), ends: make(chan farewell, 2), streamEnds: make(chan celeris.StreamEnd, 2)}
	clients, done := make(chan *sse.Client, 1), false
	cfg := sse.Config{
		MaxAge: time.Hour, HeartbeatInterval: 2 * time.Hour, Farewell: &sse.Event{Data: "bye"},
		OnConnect: func(c *sse.Client) error {
			clients <- c
			_, err := w.Subscribe(c)
			return err
		},
		OnDisconnect: func(c *sse.Client, reason error) { w.ends <- farewell{reason, c.Send(sse.Event{}), done} },
	}
	if parked {
		cfg.Broker = w.Broker
	} else {
		cfg.Handler = func(c *sse.Client) {
			<-c.Context().Done()
			time.Sleep(time.Millisecond)
			done = true
		}
	}
	h := sse.New(tame(cfg))
	w.site = newSite(t, h1, celeris.Config{}, func(c *celeris.Context) error {
		c.OnStreamEnd(func(end celeris.StreamEnd) { w.streamEnds <- end })
		return h(c)
	})
	w.tab = w.visit()
	w.client = <-clients
	return w
}

func TestOnDisconnect_PanicIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		s := stream(t, h1, sse.Config{Broker: b, OnDisconnect: func(*sse.Client, error) { panic("late") }})
		tab := s.visit()
		tab.all()
		tab.leave()
		synctest.Wait()
		if b.CallbackPanics() != 1 || b.Stats().Subscribers != 0 {
			t.Errorf("%+v, want one panic and nobody left", b.Stats())
		}
		s.visit()
	})
}

func TestShutdown_DoesNotWaitForAStuckHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		s := stream(t, h1, sse.Config{Handler: func(*sse.Client) { <-release }, Farewell: &sse.Event{Data: "bye"}})
		tab := s.visit()
		tab.all()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		err := s.app.Shutdown(ctx)
		stuck, ok := errors.AsType[*celeris.StuckError](err)
		if !ok || stuck.Count != 1 || stuck.Routes["GET /"] != 1 {
			t.Errorf("Shutdown: %v, want one stuck handler of GET /", err)
		}
		if took := time.Since(begin); took > 6*time.Second {
			t.Errorf("Shutdown took %v", took)
		}
		equal(t, "farewell", tab.rest(), "retry: 3000", "data: bye")
	})
}

func TestShutdown_DrainsThenCuts(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		ends := make(chan error, 2)
		s := stream(t, w, sse.Config{
			Broker: b, Farewell: &sse.Event{Data: "bye"}, OnDisconnect: func(_ *sse.Client, reason error) { ends <- reason },
		})
		held, free := s.visit(), s.visit()
		held.all()
		free.all()
		held.hold()
		flood(t, b, 200)
		free.all()
		publish(t, b, "last")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := s.app.Shutdown(ctx)
		is(t, "Shutdown", err, context.DeadlineExceeded)
		equal(t, "a reader that reads", free.rest(), "id: E-201|data: last", "retry: 3000", "data: bye")
		is(t, "first end", <-ends, engine.ErrShutdown)
		if err := <-ends; !errors.Is(err, engine.ErrShutdown) && !errors.Is(err, engine.ErrCut) {
			t.Errorf("second end: %v", err)
		}
		held.release()
		is(t, "Serve", <-s.served, context.DeadlineExceeded)
		s.served <- nil
	})
}

func TestOnDisconnect_WaitsForTheLastByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends, finish := make(chan error, 1), make(chan struct{})
		s := stream(t, h1, sse.Config{
			Handler: func(c *sse.Client) {
				<-finish
				jam(t, c, 2)
			},
			OnDisconnect: func(c *sse.Client, _ error) { ends <- c.Context().Err() },
		})
		tab := s.visit()
		tab.all()
		tab.hold()
		close(finish)
		time.Sleep(time.Second) // the handler has returned
		if synctest.Wait(); len(ends) != 0 {
			t.Error("OnDisconnect ran while events were being sent")
		}
		tab.release()
		is(t, "the client's context", <-ends, context.Canceled)
		if n := len(tab.rest()); n < 3 {
			t.Errorf("%d events arrived", n)
		}
	})
}

func TestHandler_GoexitIsAReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reasons := make(chan error, 1)
		tab := stream(t, h1, sse.Config{
			Handler: func(c *sse.Client) {
				if err := c.Send(sse.Event{Data: "last"}); err != nil {
					t.Error(err)
				}
				runtime.Goexit()
			},
			OnDisconnect: func(_ *sse.Client, reason error) { reasons <- reason },
		}).visit()
		equal(t, "stream", tab.rest(), "retry: 3000", "data: last")
		if err := <-reasons; err != nil {
			t.Errorf("reason %v, want none", err)
		}
	})
}

func TestOnDisconnect_MayEndItsGoroutine(t *testing.T) {
	for _, goroutines := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ends := 0
			app := celeris.New(celeris.Config{Logger: quiet})
			app.GET("/", func(c *celeris.Context) error {
				c.OnStreamEnd(func(celeris.StreamEnd) { ends++ })
				return sse.New(sse.Config{
					Broker:       newBroker(t, sse.BrokerConfig{}),
					OnDisconnect: func(*sse.Client, error) { runtime.Goexit() },
				})(c)
			})
			site := celeristest.Serve(t, app, &celeristest.Options{Goroutines: goroutines})
			site.Stream(t, "/", nil).Close()
			if err := site.Shutdown(t.Context()); err != nil {
				t.Errorf("goroutines %v: Shutdown = %v, want nil: the stream has ended", goroutines, err)
			}
			if ends != 1 {
				t.Errorf("goroutines %v: OnStreamEnd ran %d times, want once", goroutines, ends)
			}
		})
	}
}

func TestOnConnect_SubscribingToAClosedBrokerTurnsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		s := stream(t, h1, sse.Config{
			Handler: func(*sse.Client) { t.Error("accepted") },
			OnConnect: func(c *sse.Client) error {
				_, err := b.Subscribe(c)
				return err
			},
		})
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		// A browser that gets anything but 200 gives up for good.
		res, body := s.status("GET", "/", "Accept", "text/event-stream", "Sec-Fetch-Mode", "cors")
		if res.StatusCode != 200 || !strings.HasPrefix(body, "retry: ") {
			t.Errorf("browser: %d %q, want 200 and a retry time", res.StatusCode, body)
		}
		if res, _ := s.status("GET", "/"); res.StatusCode != 503 {
			t.Errorf("other client: %d, want 503", res.StatusCode)
		}
	})
}
