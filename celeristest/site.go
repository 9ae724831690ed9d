package celeristest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine/sim"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/internal/park"
)

// origin is where a site is. The name is reserved for tests (RFC 6761).
const origin = "http://celeris.test"

// Options are the choices of [Serve]. The zero value works.
type Options struct {
	// H2C makes clients and streams speak HTTP/2 in cleartext, with prior knowledge. False means HTTP/1.1.
	H2C bool

	// Goroutines has every stream driven by a goroutine of its own, as it is over HTTP/2, over TLS and behind middleware
	// that transforms what is written. False means that the streams of a [celeris.Server] over HTTP/1.1 are parked on
	// the engine of package sim.
	Goroutines bool

	// Buffer is how many bytes a connection holds in each direction before the writer has to wait. Whatever it is, HTTP
	// clients and servers have buffers of their own, of 4 KiB or more. Zero means 64 KiB.
	Buffer int
}

// server is what a site serves with.
type server interface {
	Serve(context.Context, net.Listener) error
	Shutdown(context.Context) error
}

var _ server = (*celeris.Server)(nil)

// Site is a handler that is served on a network in memory. Its methods may be called by any goroutine.
type Site struct {
	opts     Options
	server   server
	listener *memnet.Listener
	served   chan struct{}   // closed when the server has ended
	ctx      context.Context // ends all requests at the end of the test
	client   *http.Client

	mu    sync.Mutex // guards conns
	conns []net.Conn
}

// parking is a network whose streams are parked.
type parking struct {
	*memnet.Listener
	engine *sim.Engine
}

// Engine is what the server parks streams on.
func (p parking) Engine() park.Engine { return p.engine }

// Serve serves h until t ends. Nil opts mean the defaults.
//
// A [celeris.Server] is served by its own Serve; it must not have a TLSConfig. Any other handler gets an [http.Server]
// without timeouts.
//
// At the end of t all connections of clients are closed and the server is shut down. If it has to leave something
// running, or to cut it, t fails and is told what it was, unless the server had been shut down before.
func Serve(t testing.TB, h http.Handler, opts *Options) *Site {
	t.Helper()
	if h == nil {
		t.Fatal("celeristest: Serve of a nil http.Handler")
	}
	s := &Site{served: make(chan struct{})}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Buffer < 0 {
		t.Fatalf("celeristest: Options.Buffer is %d; it is a number of bytes, zero means %d", s.opts.Buffer, memnet.DefaultBuffer)
	}
	s.listener = memnet.Listen(s.opts.Buffer)
	var leave context.CancelFunc
	s.ctx, leave = context.WithCancel(context.Background())
	s.client = &http.Client{Transport: ending{s.transport(s.Dial), s.ctx}}

	if app, ok := h.(*celeris.Server); ok {
		s.server = app
	} else {
		s.server = newForeign(h, t.Output())
	}
	listener, stop := net.Listener(s.listener), func() {}
	if !s.opts.H2C && !s.opts.Goroutines {
		e := sim.New()
		listener, stop = parking{s.listener, e}, e.Close
	}
	go func() {
		defer close(s.served)
		defer stop()
		_ = s.server.Serve(context.Background(), listener) // Shutdown returns the same
	}()
	t.Cleanup(func() {
		leave()
		s.hangUp()
		select {
		case <-s.served: // whoever ended it has its result
		default:
			if err := s.server.Shutdown(context.Background()); err != nil {
				t.Errorf("celeristest: the server did not end by itself when its clients were gone: %v", err)
			}
			<-s.served
		}
	})
	return s
}

// URL is the address of a path, with its query, on this site.
func (s *Site) URL(path string) string { return origin + "/" + strings.TrimPrefix(path, "/") }

// Client returns a client for ordinary requests; it is the same one each time. Whatever host its requests name, they go
// to this site. Streams use its Jar, so that a login is theirs too; set it before the first request. Responses that t
// leaves open are closed at its end.
func (s *Site) Client() *http.Client { return s.client }

// Dial opens a bare connection. It has the methods Hold, Release, Reset and CloseWrite, which do what those of [Stream]
// do, and is closed at the end of the test. Dial waits until the server accepts; errors are [net.ErrClosed] once the
// server shuts down, and the cause of an ended ctx.
func (s *Site) Dial(ctx context.Context) (net.Conn, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s *Site) dial(ctx context.Context) (*memnet.Conn, error) {
	c, err := s.listener.Dial(ctx)
	switch {
	case errors.Is(err, net.ErrClosed):
		return nil, fmt.Errorf("celeristest: the server is shut down, or was before it was served: %w", err)
	case err != nil:
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
	if s.ctx.Err() != nil { // hangUp may have been there
		_ = c.Close()
	}
	return c, nil
}

// hangUp closes what was dialed.
func (s *Site) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
}

// Shutdown shuts the server down while clients are connected, and returns what [celeris.Server.Shutdown] does. For a
// handler that is no celeris.Server it waits for requests until ctx ends, ten seconds if ctx has no deadline, and cuts
// what is left; the handler learns nothing of it, so let it end its streams before, with [sse.Broker.Close] for example.
func (s *Site) Shutdown(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	<-s.served
	return err
}
