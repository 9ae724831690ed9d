package celeris

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/exchange"
)

// StreamEnd tells how a stream ended: why, after how many bytes and how long.
type StreamEnd = engine.End

// Context is one request and its response. It is a thin layer over an [http.ResponseWriter] and an
// [http.Request], which are always at hand and may be used side by side with it.
//
// A Context belongs to the goroutine that serves the request; only Set, Get and Context's own accessors of
// the request may be used by goroutines which that one waits for. It is never reused for another request.
type Context struct {
	w      http.ResponseWriter
	r      *http.Request
	wrote  bool // one of our own methods wrote to w
	query  url.Values
	rawQry string
	*shared
}

// shared is what all contexts of one request have in common.
type shared struct {
	srv   *Server // nil outside a server
	x     *exchange.Exchange
	route *Route
	match match

	mu     sync.Mutex // guards values
	values map[string]any
}

// newContext makes the first context of a request. An exchange must be in the context of r.
func newContext(srv *Server, w http.ResponseWriter, r *http.Request) *Context {
	s := &struct {
		Context
		shared
	}{}
	s.shared.srv = srv
	s.x = exchange.From(r.Context())
	s.Context = Context{w: w, r: r, shared: &s.shared}
	return &s.Context
}

// derive makes a context of the same request with another writer and another request.
func (c *Context) derive(w http.ResponseWriter, r *http.Request) *Context {
	d := *c
	d.w, d.r = w, r
	d.wrote = false
	return &d
}

// Request is the request as the middleware around the caller handed it on.
func (c *Context) Request() *http.Request { return c.r }

// SetRequest replaces the request for the handlers further inside, for instance by one with another
// context. r must derive from [Context.Request].
func (c *Context) SetRequest(r *http.Request) {
	if r == nil {
		panic("celeris: SetRequest(nil): derive a request from Context.Request")
	}
	c.r = r
}

// Response is the writer of the response as the middleware around the caller handed it on. Deadlines and
// flushes go through [http.NewResponseController].
func (c *Context) Response() http.ResponseWriter { return c.w }

// SetResponse replaces the writer for the handlers further inside. w must write to [Context.Response] and
// should have a method Unwrap that returns it; a middleware that sets it puts the old one back when next
// has returned.
func (c *Context) SetResponse(w http.ResponseWriter) {
	if w == nil {
		panic("celeris: SetResponse(nil): wrap Context.Response")
	}
	c.w = w
}

// Context is the context of the request. It ends when the client goes away, when the handler has returned
// or when a shutdown cuts what is left.
func (c *Context) Context() context.Context { return c.r.Context() }

// Route is the pattern of the route that serves the request as it was registered, "GET /rooms/{id}", or ""
// if there is none. It is known to all middleware.
func (c *Context) Route() string { return c.x.Route() }

// Logger is the logger of the server, or [slog.Default] outside one.
func (c *Context) Logger() *slog.Logger {
	if c.srv == nil {
		return slog.Default()
	}
	return c.srv.cfg.Logger
}

// Param is the part of the path that the route's wildcard of this name matched, unescaped, or "".
func (c *Context) Param(name string) string { return c.r.PathValue(name) }

// Query is the first value of a parameter of the URL's query, or "". Malformed pairs are left out.
func (c *Context) Query(name string) string {
	if raw := c.r.URL.RawQuery; c.query == nil || raw != c.rawQry {
		c.query, c.rawQry = c.r.URL.Query(), raw
	}
	return c.query.Get(name)
}

// Header is the first value of a header of the request, or "". Headers of the response are those of
// Response().Header().
func (c *Context) Header(name string) string { return c.r.Header.Get(name) }

// Cookie is a cookie of the request, or [http.ErrNoCookie].
func (c *Context) Cookie(name string) (*http.Cookie, error) { return c.r.Cookie(name) }

// Set keeps a value for the handlers and the middleware of this request. It may be called by several
// goroutines at once.
func (c *Context) Set(key string, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values == nil {
		c.values = make(map[string]any)
	}
	c.values[key] = value
}

// Get returns what Set kept, and whether there is something. It may be called by several goroutines at
// once.
func (c *Context) Get(key string) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.values[key]
	return v, ok
}

// OnStreamEnd registers f to be called when the stream that this response becomes has ended, which may be
// long after all handlers have returned. It is never called if the response does not become a stream.
func (c *Context) OnStreamEnd(f func(StreamEnd)) { c.x.OnStreamEnd(f) }

// Started reports whether the response has begun: its status can't be changed any more.
func (c *Context) Started() bool { return c.wrote || c.x.Started() }

func (c *Context) routeName() string { return cmp.Or(c.x.Route(), "(no route)") }
