package celeris

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/goceleris/celeris/internal/exchange"
	"github.com/goceleris/celeris/internal/park"
)

// Server routes requests to handlers and owns the streams that they open. It serves on its own, with
// Start, StartContext or Serve, or as an [http.Handler] in somebody else's [http.Server].
//
// Routes and middleware are registered first, by any goroutine; from the first request on they are fixed.
// All other methods may be called at any time by any goroutine.
type Server struct {
	registrar
	cfg       Config
	host      exchange.Host
	mux       *http.ServeMux
	unmatched *Route // stands for all requests that no route serves
	inflight  inflight
	draining  atomic.Bool
	entry     atomic.Pointer[HandlerFunc] // the whole chain, set when the server is sealed
	cutting   context.Context             // ends when a shutdown cuts what is left
	setCut    context.CancelCauseFunc
	parking   parking

	// mu guards the fields below.
	mu         sync.Mutex
	routes     []*Route
	middleware []Middleware
	addr       net.Addr
	servers    []*listening
	shutdown   *shutdown // nil until Shutdown was called
}

var _ http.Handler = (*Server)(nil)

// New returns a server. It panics if a value of cfg makes no sense.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), mux: http.NewServeMux()}
	s.registrar = registrar{srv: s}
	s.unmatched = &Route{srv: s, handler: answerMiss}
	s.host.MaxStall, s.host.MaxCallbacks, s.host.Lingers = s.cfg.MaxStall, s.cfg.MaxCallbacks, true
	s.host.Limits = exchange.Limits{
		Streams: s.cfg.MaxStreams, PerClient: s.cfg.MaxStreamsPerClient, ClientIP: s.cfg.ClientIP, Logger: s.cfg.Logger,
	}
	s.parking.open = func() park.Engine { return openEngine(s.cfg.Engine, s.cfg.Logger) }
	s.host.Engine = s.parking.on
	s.cutting, s.setCut = context.WithCancelCause(context.Background())
	return s
}

// Use adds middleware around everything that the server answers: all routes, those registered before
// included, mounted handlers and requests that no route serves. The first is outermost. Routing comes
// before: to change the path of requests, wrap the server, which is an [http.Handler]. Use panics once the
// server has begun to serve.
func (s *Server) Use(middleware ...Middleware) {
	where := caller(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustBeOpen("middleware", where)
	for _, m := range middleware {
		if m == nil {
			panic("celeris: Use of a nil Middleware (" + where + "): leave it out instead")
		}
	}
	s.middleware = append(s.middleware, middleware...)
}

// seal fixes routes and middleware and returns the chain that serves every request.
func (s *Server) seal() HandlerFunc {
	if h := s.entry.Load(); h != nil {
		return *h
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.entry.Load(); h != nil {
		return *h
	}
	h := wrap(func(c *Context) error { return c.route.handler(c) }, s.middleware)
	if h == nil {
		panic("celeris: a Middleware given to Server.Use returned a nil HandlerFunc: it must return one that calls next")
	}
	s.entry.Store(&h)
	return h
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.seal()
	s.inflight.enter()
	defer s.inflight.leave()
	ctx := r.Context()
	if ctx.Value(ownKey{}) != s { // somebody else's http.Server, whose contexts a shutdown can't end
		var cancel context.CancelCauseFunc
		ctx, cancel = context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(s.cutting, func() { cancel(context.Cause(s.cutting)) })()
		r = r.WithContext(ctx)
	}
	exchange.Serve(&s.host, w, r, s.serve)
}

// ownKey is the key under which requests of our own http.Servers carry their Server.
type ownKey struct{}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c := newContext(s, w, r)
	route := s.match(c, r)
	c.route = route
	c.x.SetRoute(route.pattern)
	route.running.Add(1)
	defer route.running.Add(-1)
	if s.draining.Load() && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	if r.Body != nil && r.Body != http.NoBody {
		limit := s.cfg.MaxBody
		if route.maxBody > 0 {
			limit = route.maxBody
		}
		// The base writer: net/http closes the connection of a body that is too long, if it knows of it.
		r.Body = http.MaxBytesReader(c.x.Base(), r.Body, limit)
	}
	if err := s.seal()(c); err != nil {
		c.fail(err)
	}
}

// Ready returns a handler for readiness probes: 200 until a shutdown begins, then 503.
func (s *Server) Ready() HandlerFunc {
	return func(c *Context) error {
		c.Response().Header().Set("Cache-Control", "no-store")
		if s.draining.Load() {
			return c.String(http.StatusServiceUnavailable, "draining\n")
		}
		return c.String(http.StatusOK, "ready\n")
	}
}

// inflight counts requests, streams that are run by a request's goroutine included.
type inflight struct {
	n       atomic.Int64
	waiting atomic.Pointer[chan struct{}] // gets a token when n became 0
}

func (f *inflight) enter() { f.n.Add(1) }

func (f *inflight) leave() {
	if f.n.Add(-1) == 0 {
		if w := f.waiting.Load(); w != nil {
			select {
			case *w <- struct{}{}:
			default:
			}
		}
	}
}

// wait returns nil at a moment without requests, or the cause for which ctx ended. One goroutine at a time
// may call it.
func (f *inflight) wait(ctx context.Context) error {
	w := make(chan struct{}, 1)
	f.waiting.Store(&w) // before n is read: who leaves later than that finds it
	for f.n.Load() != 0 {
		select {
		case <-w:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
