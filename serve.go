package celeris

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/goceleris/celeris/internal/exchange"
	"github.com/goceleris/celeris/internal/park"
	"github.com/goceleris/celeris/internal/tlsgate"
)

// listening is one call of Serve.
type listening struct {
	http     *http.Server
	listener *patient
	cut      context.CancelCauseFunc // ends the contexts of all requests
	fresh    fresh
}

// Start serves like [Server.StartContext] until SIGINT or SIGTERM, then shuts down gracefully. A second
// signal ends the process at once. It returns what [Server.Serve] would.
func (s *Server) Start() error {
	signaled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	context.AfterFunc(signaled, func() {
		stop() // first, so that the next signal finds its default action again
		cancel()
	})
	return s.StartContext(ctx)
}

// StartContext listens and serves until ctx ends, then shuts down gracefully. It returns what [Server.Serve]
// would.
//
// If the process was started with listening sockets that nobody has taken, it serves all of them and Addr does not
// matter: see [Listeners]. Otherwise it listens on [Config.Addr].
func (s *Server) StartContext(ctx context.Context) error {
	listeners, err := Listeners()
	if err != nil {
		return err
	}
	if len(listeners) > 0 {
		return s.serveAll(ctx, listeners)
	}
	var lc net.ListenConfig
	// A multipath socket is another kind of socket, of which streams can't be sure what it supports.
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.WithoutCancel(ctx), "tcp", s.cfg.Addr)
	if err != nil {
		return fmt.Errorf("celeris: listen on %q: %w", s.cfg.Addr, err)
	}
	return s.Serve(ctx, l)
}

// serveAll serves listeners, and ends when one of them does, with its result.
func (s *Server) serveAll(ctx context.Context, listeners []InheritedListener) error {
	s.seal() // its panics are the caller's
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { results <- s.Serve(ctx, l.Listener) }()
	}
	err := <-results
	cancel()
	for range listeners[1:] {
		if r := <-results; errors.Is(err, http.ErrServerClosed) {
			err = r // the shutdown came while the listeners were being opened
		}
	}
	return err
}

// Serve serves the connections of l until ctx ends or [Server.Shutdown] is called, and returns when the
// shutdown is complete, with its result. When ctx ends it has [Config.DrainTimeout] for that. The values
// of ctx are those of the requests' contexts. Serve closes l. It may be called for several listeners, each
// shutdown ends all of them; after one, it returns [http.ErrServerClosed].
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.seal()
	ln := s.newListening(ctx, l)
	defer func() { _ = ln.listener.Close() }() // a shutdown may have closed it
	if !s.open(ln, l) {
		return http.ErrServerClosed
	}
	stop := context.AfterFunc(ctx, func() {
		_ = s.Shutdown(context.WithoutCancel(ctx)) // its result is that of Serve
	})
	defer stop()
	s.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "listening", slog.String("addr", l.Addr().String()),
		slog.Bool("tls", s.cfg.TLSConfig != nil), slog.String("engine", s.parking.listen(l)))
	var err error
	if s.cfg.TLSConfig != nil {
		err = ln.http.ServeTLS(tlsgate.Listener{Listener: ln.listener}, "", "")
	} else {
		err = ln.http.Serve(ln.listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return s.joinShutdown()
	}
	return fmt.Errorf("celeris: serve: %w", err)
}

func (s *Server) newListening(ctx context.Context, l net.Listener) *listening {
	base, cut := context.WithCancelCause(context.WithValue(context.WithoutCancel(ctx), ownKey{}, s))
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	ln := &listening{
		cut:      cut,
		listener: newPatient(l, s.cfg.Logger),
		http: &http.Server{
			Protocols:         protocols,
			TLSConfig:         s.cfg.TLSConfig.Clone(),
			ReadHeaderTimeout: s.cfg.ReadHeaderTimeout,
			IdleTimeout:       s.cfg.IdleTimeout,
			WriteTimeout:      s.cfg.WriteTimeout,
			// A stream's own deadline can't end a write of HTTP/2 while the connection below it is stuck.
			HTTP2:          &http.HTTP2Config{WriteByteTimeout: s.cfg.MaxStall},
			MaxHeaderBytes: s.cfg.MaxHeaderBytes,
			ErrorLog:       slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelWarn),
			BaseContext:    func(net.Listener) context.Context { return base },
			ConnContext:    exchange.ConnContext,
		},
	}
	ln.http.ConnState = ln.fresh.track
	ln.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ln.fresh.arrived(exchange.Conn(r.Context()))
		s.ServeHTTP(w, r)
	})
	return ln
}

// parker is a listener that brings the engine which parks the streams of its connections. It outlives the server.
type parker interface{ Engine() park.Engine }

// open makes a listener known to Shutdown, and reports false if that was called already.
func (s *Server) open(ln *listening, l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shutdown != nil {
		return false
	}
	s.servers = append(s.servers, ln)
	s.addr = cmp.Or(s.addr, l.Addr())
	return true
}

// Addr is the address of the first listener that was given to Serve, or nil.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}
