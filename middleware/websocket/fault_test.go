package websocket_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/wsproto"
	"github.com/goceleris/celeris/middleware/websocket"
)

var quiet = slog.New(slog.DiscardHandler)

// site serves cfg, with the end of its one connection told.
func ending(t *testing.T, cfg websocket.Config, server celeris.Config) (*site, chan celeris.StreamEnd) {
	t.Helper()
	ends := make(chan celeris.StreamEnd, 1)
	server.Logger, cfg.Logger = quiet, quiet
	s := newSite(server)
	s.GET("/{name}", websocket.New(cfg), func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) error {
			c.OnStreamEnd(func(e celeris.StreamEnd) { ends <- e })
			return next(c)
		}
	})
	s.start(t)
	return s, ends
}

func TestHandler_ThatPanicsClosesWith1011(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ends := ending(t, websocket.Config{Handler: func(*websocket.Conn) { panic("oh") }}, celeris.Config{})
		r := s.open(t, hello)
		r.want("close 1011")
		r.send(masked(wsproto.Close, true, "\x03\xf3"))
		r.want("EOF")
		r.Close()
		if e := <-ends; !errors.Is(e.Reason, websocket.ErrPanicked) || e.Kind() != engine.EndPanicked {
			t.Errorf("ended by %v", e.Reason)
		}
		if st := s.Stats(); st.Streams != 0 || st.Ends[engine.EndPanicked] != 1 || st.Handlers != 0 || st.Requests != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestHandler_MayEndItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ends := ending(t, websocket.Config{Handler: func(*websocket.Conn) { runtime.Goexit() }}, celeris.Config{})
		r := s.open(t, hello)
		r.want("close 1000")
		r.Close()
		<-ends
	})
}

func TestHandler_ThatReturnsClosesWith1000(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ends := ending(t, websocket.Config{Handler: func(c *websocket.Conn) {
			_, _ = c.Send(websocket.TextMessage, []byte("bye"))
		}}, celeris.Config{})
		r := s.open(t, hello)
		if st := s.Stats(); st.Streams != 1 || st.OpenedStreams != 1 {
			t.Errorf("%+v", st)
		}
		r.want("81 bye")
		r.want("close 1000")
		r.send(append(text("discarded"), masked(wsproto.Close, true, "\x03\xe8")...))
		r.want("EOF")
		r.Close()
		if e := <-ends; e.Reason != nil || e.Bytes != 5+4 {
			t.Errorf("%+v", e)
		}
	})
}

func TestPeer_ThatDoesNotCloseIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ends := ending(t, websocket.Config{Handler: func(*websocket.Conn) {}, CloseTimeout: 3 * time.Second}, celeris.Config{})
		r := s.open(t, hello)
		begin := time.Now()
		r.want("close 1000")
		<-ends
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("cut after %v", took)
		}
		r.Close()
	})
}

func TestPeer_ThatNeverReadsIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begin time.Time
		s, ends := ending(t, websocket.Config{MaxStall: 20 * time.Second, MaxBacklog: 100_000, Handler: func(c *websocket.Conn) {
			begin = time.Now()
			for c.WriteMessage(c.Context(), websocket.BinaryMessage, make([]byte, 10_000)) == nil {
				if n := c.BufferedAmount(); n > 120_000 {
					t.Errorf("%d bytes wait", n)
				}
			}
		}}, celeris.Config{})
		r := s.open(t, hello)
		e := <-ends
		if took := time.Since(begin); !errors.Is(e.Reason, engine.ErrStalled) || took != 20*time.Second {
			t.Errorf("%v after %v", e.Reason, took)
		}
		r.Close()
	})
}

func TestPeer_ThatIsSilentIsPinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last error
		s, ends := ending(t, websocket.Config{PingInterval: 10 * time.Second, PongTimeout: 5 * time.Second, Handler: func(c *websocket.Conn) {
			for last == nil {
				_, _, last = c.ReadMessage(c.Context())
			}
		}}, celeris.Config{})
		r := s.open(t, hello)
		begin := time.Now()
		for range 3 {
			r.want("89 ")
			r.send(masked(wsproto.Pong, true, ""))
		}
		r.send(text("x"))
		if took := time.Since(begin); took != 30*time.Second {
			t.Errorf("three pings in %v", took)
		}
		r.want("89 ")
		e := <-ends // the wire is dead from here on
		if took := time.Since(begin); !errors.Is(e.Reason, websocket.ErrPongTimeout) || e.Kind() != engine.EndPeerGone || took != 45*time.Second {
			t.Errorf("%v after %v", e.Reason, took)
		}
		if !errors.Is(last, websocket.ErrPongTimeout) {
			t.Errorf("the handler got %v", last)
		}
		r.Close()
	})
}

func TestPeer_IsNotBlamedForAHandlerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ends := ending(t, websocket.Config{PingInterval: 10 * time.Second, PongTimeout: 5 * time.Second, Handler: func(c *websocket.Conn) {
			time.Sleep(5 * time.Minute)
			echo(c)
		}}, celeris.Config{})
		r := s.open(t, hello)
		r.send(text("patience"))
		for {
			got := r.frame()
			if got == "81 patience" {
				break
			}
			if got != "89 " {
				t.Fatalf("got %q", got)
			}
			r.send(masked(wsproto.Pong, true, ""))
		}
		r.Close()
		<-ends
	})
}

func TestShutdown_SaysGoingAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last error
		s, ends := ending(t, websocket.Config{Handler: func(c *websocket.Conn) {
			_, _, last = c.ReadMessage(c.Context())
		}}, celeris.Config{})
		r := s.open(t, hello)
		synctest.Wait()
		done := make(chan error)
		go func() { done <- s.Shutdown(t.Context()) }()
		r.want("close 1001")
		r.send(masked(wsproto.Close, true, "\x03\xe9"))
		r.want("EOF")
		r.Close()
		if err := <-done; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if e := <-ends; !errors.Is(e.Reason, engine.ErrShutdown) {
			t.Errorf("ended by %v", e.Reason)
		}
		if e, ok := errors.AsType[*websocket.CloseError](last); !ok || e.Code != 1001 || !e.Local {
			t.Errorf("the handler got %v", last)
		}
	})
}

func TestShutdown_TellsAHandlerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		s, ends := ending(t, websocket.Config{Handler: func(c *websocket.Conn) {
			<-c.Context().Done()
			cause = context.Cause(c.Context())
		}}, celeris.Config{})
		r := s.open(t, hello)
		synctest.Wait()
		done := make(chan error)
		go func() { done <- s.Shutdown(t.Context()) }()
		r.want("close 1001")
		r.send(masked(wsproto.Close, true, "\x03\xe9"))
		r.want("EOF")
		r.Close()
		if err := <-done; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		<-ends
		if websocket.CloseCode(cause) != 1001 {
			t.Errorf("the context's cause is %v", cause)
		}
	})
}

func TestShutdown_LeavesAHandlerThatNeverReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		s, ends := ending(t, websocket.Config{Handler: func(*websocket.Conn) { <-stuck }}, celeris.Config{DrainTimeout: 20 * time.Second})
		r := s.open(t, hello)
		synctest.Wait()
		begin := time.Now()
		err := s.Shutdown(context.Background())
		if e, ok := errors.AsType[*celeris.StuckError](err); !ok || e.Routes["GET /{name}"] != 1 {
			t.Errorf("Shutdown = %v", err)
		}
		if took := time.Since(begin); took > 21*time.Second {
			t.Errorf("after %v", took)
		}
		r.want("close 1001")
		if got := r.frame(); got != "EOF" {
			t.Errorf("then %q", got)
		}
		close(stuck)
		<-ends
		r.Close()
	})
}

func TestServer_LimitsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ends := ending(t, websocket.Config{Handler: echo}, celeris.Config{MaxStreams: 1})
		r := s.open(t, hello)
		nc, err := s.l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, resp := knock(t, nc, hello)
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Upgrade") != "" {
			t.Errorf("%s %v", resp.Status, resp.Header)
		}
		nc.Close()
		r.Close()
		<-ends
	})
}

func TestChurn_LeavesNothing(t *testing.T) {
	n := 10_000
	if raceEnabled || testing.Short() {
		n = 1000
	}
	url := serveTCP(t, websocket.Config{Handler: echo, Compression: websocket.Compression{Enabled: true}})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range n / 4 {
				c, err := websocket.Dial(t.Context(), url, nil)
				if err != nil {
					t.Error(err)
					return
				}
				switch (i + w) % 3 {
				case 0:
					if c.WriteMessage(t.Context(), websocket.TextMessage, []byte("hi")) == nil {
						_, _, _ = c.ReadMessage(t.Context())
					}
					if err := c.Close(1000, ""); err != nil {
						t.Error(err)
					}
				case 1:
					_ = c.WriteMessage(t.Context(), websocket.TextMessage, []byte(strings.Repeat("hi", 1000)))
					_ = c.CloseNow()
				default:
					_ = c.CloseNow()
				}
			}
		})
	}
	wg.Wait() // and the leak check of the package
}
