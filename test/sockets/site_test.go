//go:build linux

package sockets

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/park"
	"github.com/goceleris/celeris/middleware/sse"
)

// patience is what a state may take at most.
const patience = 30 * time.Second

var quiet = slog.New(slog.DiscardHandler)

// site is a server with one route, the topics of a broker.
type site struct {
	t      testing.TB
	way    way
	broker *sse.Broker
	app    *celeris.Server
	engine park.Engine // nil where each stream has a goroutine
	addr   string

	mu   sync.Mutex // guards ends
	ends []error    // reasons of streams that have ended
}

// options are what a test wants of its site. The zero value works.
type options struct {
	server celeris.Config
	events sse.BrokerConfig
	stream sse.Config
	// buffer is SO_SNDBUF of the engine, or of a connection that has a goroutine. Zero means 64 KiB.
	buffer int
	// early sets it when the connection is accepted, with an engine too.
	early bool
	host  string // to listen on; loopback if empty
}

// listener brings the engine of its connections, and sets their buffer.
type listener struct {
	net.Listener
	buffer int // 0 leaves it alone
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil && l.buffer > 0 {
		_ = c.(*net.TCPConn).SetWriteBuffer(l.buffer)
	}
	return c, err
}

// parking is a listener whose streams are parked.
type parking struct {
	listener
	engine park.Engine
}

// Engine is what a server looks for.
func (p parking) Engine() park.Engine { return p.engine }

// open serves a site until the test ends.
func (w way) serve(t testing.TB, o options) *site {
	t.Helper()
	if o.events.Logger == nil {
		o.events.Logger = quiet
	}
	b, err := sse.NewBroker(o.events)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, way: w, broker: b}
	if o.buffer == 0 {
		o.buffer = 64 << 10
	}
	o.server.Logger = quiet
	if w.tls {
		cert, _ := certificate()
		o.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	if w.open == nil {
		o.server.Engine = engine.Std
	}
	s.app = celeris.New(o.server)
	o.stream.Broker, o.stream.Logger = b, quiet
	if o.stream.Topics == nil {
		o.stream.Topics = topicsOf
	}
	told := o.stream.OnDisconnect
	o.stream.OnDisconnect = func(c *sse.Client, reason error) {
		if told != nil {
			told(c, reason)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ends = append(s.ends, reason)
	}
	s.app.GET("/events", sse.New(o.stream))
	if o.host == "" {
		o.host = "127.0.0.1"
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(t.Context(), "tcp", net.JoinHostPort(o.host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	on := listener{Listener: l}
	if w.open == nil || o.early {
		on.buffer = o.buffer
	}
	l = on
	if w.open != nil {
		if s.engine, err = w.open(o.buffer); err != nil {
			t.Fatal(err)
		}
		l = parking{on, s.engine}
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.app.Serve(context.WithoutCancel(t.Context()), l) })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("close the broker: %v", err)
		}
		if err := s.app.Shutdown(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
		serving.Wait()
		if s.engine == nil {
			return
		}
		if n := s.engine.Stats(); n.Streams != 0 || n.Refused != 0 {
			t.Errorf("the engine still counts: %+v", n)
		}
		s.engine.Close()
	})
	return s
}

// topicsOf is what a request asks for: ?topics=a,b, or "" alone.
func topicsOf(c *celeris.Context) ([]string, error) {
	return strings.Split(c.Query("topics"), ","), nil
}

// publish publishes to topics, the one called "" if there are none.
func (s *site) publish(data string, topics ...string) (id string) {
	s.t.Helper()
	p, err := s.broker.Publish(context.Background(), sse.Event{Data: data}, topics...)
	if err != nil {
		s.t.Fatal(err)
	}
	return p.ID()
}

// ended returns the reasons of the streams that have ended.
func (s *site) ended() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]error(nil), s.ends...)
}

// subscribers waits until there are so many.
func (s *site) subscribers(n int) {
	s.t.Helper()
	reach(s.t, "subscribers", func() bool { return s.broker.Stats().Subscribers == n })
}

// settle waits until the engine has so many streams.
func (s *site) settle(n int) {
	s.t.Helper()
	if s.engine != nil {
		reach(s.t, "streams of the engine", func() bool { return s.engine.Stats().Streams == n })
	}
}

// reach waits for a state.
func reach(t testing.TB, what string, state func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for n := 0; !state(); n++ {
		if time.Now().After(end) {
			t.Fatalf("not reached: %s", what)
		}
		if n < 100 {
			runtime.Gosched()
			continue
		}
		time.Sleep(time.Millisecond) // others need the processor to get there
	}
}
