package celeris

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goceleris/celeris/engine"
)

// cutGrace is how long a shutdown waits for what it has cut.
const cutGrace = 500 * time.Millisecond

// ErrStuckCallbacks is in the chain of the error that Shutdown returns when handlers or callbacks were still
// running after their contexts had ended and their connections had been cut. See [StuckError].
var ErrStuckCallbacks = errors.New("celeris: handlers or callbacks did not end")

// StuckError tells which handlers and callbacks a shutdown had to leave running, since Go can't end a
// goroutine.
type StuckError struct {
	// Count is how many there were, callbacks that still waited for their turn included.
	Count int
	// Routes counts them by the pattern of their route; "" stands for requests without a route.
	Routes map[string]int

	cause error
}

// Error names the routes.
func (e *StuckError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %d still run", ErrStuckCallbacks, e.Count)
	sep := ": "
	for _, route := range slices.Sorted(maps.Keys(e.Routes)) {
		fmt.Fprintf(&b, "%s%q (%d)", sep, route, e.Routes[route])
		sep = ", "
	}
	return b.String()
}

// Unwrap returns [ErrStuckCallbacks] and the reason for which the drain ended.
func (e *StuckError) Unwrap() []error { return []error{ErrStuckCallbacks, e.cause} }

// shutdown is a shutdown under way or complete.
type shutdown struct {
	ctx    context.Context // ends when the drain has lasted long enough
	cancel context.CancelCauseFunc
	done   chan struct{}
	err    error // valid when done is closed
}

// Shutdown ends the server gracefully. Readiness turns 503, listeners are closed, every stream is told to
// say farewell and to end (many of them in waves), and new streams are refused. A connection on which no request has
// come yet has half a second for its first one, which is answered and told that the connection closes. Shutdown then
// waits for requests and streams.
//
// It waits until ctx ends, at most [Config.DrainTimeout] if ctx has no deadline. What is left then is cut:
// contexts end, streams and connections are closed. If all of it ends within a short grace of half a second,
// Shutdown returns an error that wraps the cause for which ctx ended; if not, a [StuckError]. It returns nil
// when everything ended by itself.
//
// Shutdown may be called before Serve, which then refuses to serve, and more than once: further calls join
// the first, cut what is left when their own context ends, and return the same result. It must not be called
// by a handler that it would have to wait for. In somebody else's http.Server, where only the requests and
// streams of s are waited for, say
//
//	server.RegisterOnShutdown(func() { app.Shutdown(ctx) })
//
// and let the process wait for app.Shutdown as well: connections that became streams are unknown to that
// server.
func (s *Server) Shutdown(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.cfg.DrainTimeout)
		defer cancel()
	}
	s.mu.Lock()
	first := s.shutdown == nil
	if first {
		d := &shutdown{done: make(chan struct{})}
		d.ctx, d.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
		s.shutdown = d
	}
	d, servers := s.shutdown, s.servers
	s.mu.Unlock()

	stop := context.AfterFunc(ctx, func() { d.cancel(context.Cause(ctx)) })
	defer stop()
	if first {
		end, _ := ctx.Deadline()
		d.err = s.drain(d.ctx, end, servers)
		d.cancel(nil)
		close(d.done)
	}
	<-d.done
	return d.err
}

// joinShutdown waits for the shutdown that was called.
func (s *Server) joinShutdown() error {
	s.mu.Lock()
	d := s.shutdown
	s.mu.Unlock()
	<-d.done
	return d.err
}

// drain runs the one shutdown of s, which has until end if ctx does not end before. It is called once.
func (s *Server) drain(ctx context.Context, end time.Time, servers []*listening) error {
	s.draining.Store(true)
	var connections sync.WaitGroup
	for _, ln := range servers {
		ln.listener.stop()
		connections.Go(func() {
			ln.fresh.settle(ctx)
			// It fails when ctx ends, which is seen below, or because the listener is closed already.
			_ = ln.http.Shutdown(ctx)
		})
	}
	streams := s.host.Drain()
	s.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "shutting down",
		slog.Int("streams", len(streams)), slog.Int64("requests", s.inflight.n.Load()))
	telling, told := context.WithDeadline(ctx, end) // ctx ends then, but can't tell when that is
	sayFarewell(telling, streams)
	told()
	// Connections first: while one is open, another request may come.
	connections.Wait()
	err := s.wait(ctx)
	if err != nil {
		err = s.cut(err, servers)
	}
	for _, ln := range servers {
		_ = ln.http.Close() // what is left is idle
		ln.cut(http.ErrServerClosed)
	}
	s.parking.close()
	return err
}

// wait returns nil when no request, no stream and no callback is left.
func (s *Server) wait(ctx context.Context) error {
	if err := s.inflight.wait(ctx); err != nil {
		return err
	}
	return s.host.Wait(ctx)
}

// cut ends what a drain has left, for the given cause.
func (s *Server) cut(cause error, servers []*listening) error {
	streams, requests := s.host.Drain(), s.inflight.n.Load()
	for _, stream := range streams {
		stream.Cut(engine.ErrCut)
	}
	s.setCut(engine.ErrCut)
	for _, ln := range servers {
		ln.cut(engine.ErrCut)
		_ = ln.http.Close() // the listeners are closed already
	}
	ctx, cancel := context.WithTimeout(context.Background(), cutGrace)
	defer cancel()
	if s.wait(ctx) != nil {
		return s.stuck(cause)
	}
	return fmt.Errorf("celeris: shutdown cut %d streams with %d requests in progress: %w", len(streams), requests, cause)
}

// stuck says what is still running.
func (s *Server) stuck(cause error) error {
	e := &StuckError{Routes: make(map[string]int), cause: cause}
	count := func(route string, n int) {
		if n > 0 {
			e.Count += n
			e.Routes[route] += n
		}
	}
	for route, n := range s.host.Running() {
		count(route, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.routes {
		count(r.pattern, int(r.running.Load()))
	}
	count("", int(s.unmatched.running.Load()))
	if e.Count == 0 { // between a handler and the end of its request
		count("", max(int(s.inflight.n.Load()), s.host.Len(), 1))
	}
	return e
}
