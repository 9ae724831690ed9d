package websocket_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine/sim"
	"github.com/goceleris/celeris/internal/leak"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/internal/park"
	"github.com/goceleris/celeris/middleware/websocket"
)

func TestMain(m *testing.M) { leak.Main(m) }

// echo sends back what it gets.
func echo(c *websocket.Conn) {
	for {
		t, data, err := c.ReadMessage(c.Context())
		if err != nil {
			return
		}
		if c.WriteMessage(c.Context(), t, data) != nil {
			return
		}
	}
}

// serveTCP serves cfg on a real socket and returns its URL.
func serveTCP(t testing.TB, cfg websocket.Config) string {
	t.Helper()
	s := httptest.NewServer(websocket.New(cfg))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

// dial opens a connection, which is closed at the end of the test.
func dial(t testing.TB, url string, opts *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	c, err := websocket.Dial(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(websocket.StatusNormalClosure, "") })
	return c
}

// site is a server in memory.
type site struct {
	*celeris.Server
	l    *memnet.Listener
	sim  *sim.Engine // parks connections; nil if each has a goroutine
	done chan error
}

// newSite returns a server that has not begun.
func newSite(server celeris.Config) *site {
	return &site{Server: celeris.New(server), l: memnet.Listen(0), done: make(chan error, 1)}
}

// start serves until the end of the test.
func (s *site) start(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		if s.sim == nil {
			s.done <- s.Serve(ctx, s.l)
			return
		}
		s.done <- s.Serve(ctx, parkedListener{s.l, s.sim})
	}()
	t.Cleanup(func() {
		cancel()
		<-s.done
		if s.sim != nil {
			s.sim.Close()
		}
	})
}

// parkedListener is a network whose connections can be parked.
type parkedListener struct {
	*memnet.Listener
	engine *sim.Engine
}

// Engine is what the server parks connections on.
func (p parkedListener) Engine() park.Engine { return p.engine }

// serve serves cfg at /{name}, in memory.
func serve(t testing.TB, cfg websocket.Config, server celeris.Config) *site {
	t.Helper()
	s := newSite(server)
	s.GET("/{name}", websocket.New(cfg))
	s.start(t)
	return s
}

func (s *site) options() *websocket.DialOptions {
	return &websocket.DialOptions{NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return s.l.Dial(ctx)
	}}
}

var _ http.Handler = websocket.New(websocket.Config{Handler: echo})

// serveCeleris serves cfg on a real socket of a server, which parks connections where that can be.
func serveCeleris(t testing.TB, cfg websocket.Config) string {
	t.Helper()
	url, _ := serveOn(t, cfg, celeris.Config{})
	return url
}

// serveOn is serveCeleris on a server of one's own choice.
func serveOn(t testing.TB, cfg websocket.Config, server celeris.Config) (string, *celeris.Server) {
	t.Helper()
	s := celeris.New(server)
	s.GET("/{name}", websocket.New(cfg))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	scheme := "ws://"
	if server.TLSConfig != nil {
		scheme = "wss://"
	}
	return scheme + l.Addr().String() + "/x", s
}
