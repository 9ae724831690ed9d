package celeris

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
)

// Route is one registered pattern.
type Route struct {
	srv     *Server
	pattern string // as it was registered, with the prefix of its groups
	mux     string // as net/http knows it
	where   string // file:line of the registration
	handler HandlerFunc
	maxBody int64 // 0 for the server's limit
	running atomic.Int64
}

// Pattern is the pattern as it was registered, with the prefixes of its groups: "GET /rooms/{id}".
func (r *Route) Pattern() string { return r.pattern }

// Source is the place in the code that registered the route: "rooms.go:12", with the full path.
func (r *Route) Source() string { return r.where }

// MaxBody bounds the body of requests to this route to n bytes, in place of [Config.MaxBody]. It panics if
// n is not positive or if the server has begun to serve.
func (r *Route) MaxBody(n int64) *Route {
	if n <= 0 {
		panic(fmt.Sprintf("celeris: MaxBody(%d) for %q: it must be positive; math.MaxInt64 means no limit", n, r.pattern))
	}
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	r.srv.mustBeOpen("MaxBody of route \""+r.pattern+"\"", caller(1))
	r.maxBody = n
	return r
}

// Group is a set of routes with a common prefix and common middleware. It is made by [Server.Group] and may
// be used by any goroutine.
type Group struct{ registrar }

// registrar is what servers and groups have in common.
type registrar struct {
	srv        *Server
	prefix     string
	middleware []Middleware
}

// GET registers a handler for GET and HEAD requests. The path is that of a net/http pattern: it may hold
// wildcards, "/rooms/{id}", "/files/{path...}", and one that ends in a slash stands for all beneath, with
// one exception: "/" alone means exactly that. In a group "" means the prefix itself.
//
// Like all methods that register something it panics, naming the places in the code, if the path is
// malformed, if it conflicts with another route, if h is nil or if the server has begun to serve.
func (g *registrar) GET(path string, h HandlerFunc, middleware ...Middleware) *Route {
	return g.method(http.MethodGet, path, h, middleware)
}

// HEAD registers a handler for HEAD requests, where that of GET will not do. See GET for the rest.
func (g *registrar) HEAD(path string, h HandlerFunc, middleware ...Middleware) *Route {
	return g.method(http.MethodHead, path, h, middleware)
}

// POST registers a handler for POST requests. See GET for the rest.
func (g *registrar) POST(path string, h HandlerFunc, middleware ...Middleware) *Route {
	return g.method(http.MethodPost, path, h, middleware)
}

// PUT registers a handler for PUT requests. See GET for the rest.
func (g *registrar) PUT(path string, h HandlerFunc, middleware ...Middleware) *Route {
	return g.method(http.MethodPut, path, h, middleware)
}

// PATCH registers a handler for PATCH requests. See GET for the rest.
func (g *registrar) PATCH(path string, h HandlerFunc, middleware ...Middleware) *Route {
	return g.method(http.MethodPatch, path, h, middleware)
}

// DELETE registers a handler for DELETE requests. See GET for the rest.
func (g *registrar) DELETE(path string, h HandlerFunc, middleware ...Middleware) *Route {
	return g.method(http.MethodDelete, path, h, middleware)
}

// OPTIONS registers a handler for OPTIONS requests. Without one they are answered with 405 and Allow. See
// GET for the rest.
func (g *registrar) OPTIONS(path string, h HandlerFunc, middleware ...Middleware) *Route {
	return g.method(http.MethodOptions, path, h, middleware)
}

// Handle registers a handler for a pattern that names its method, "GET /rooms/{id}", and outside groups
// perhaps a host, "GET example.com/rooms/{id}". See GET for the rest.
func (g *registrar) Handle(pattern string, h HandlerFunc, middleware ...Middleware) *Route {
	where := caller(1)
	method, path, ok := strings.Cut(pattern, " ")
	if !ok || method == "" {
		bad(pattern, where, `it names no method: write "GET %s", or use Mount to serve every method`, pattern)
	}
	return g.add(method, strings.TrimLeft(path, " \t"), h, middleware, where)
}

// Mount registers h for every method and for every path beneath prefix. h sees the path unchanged; where it
// should not, wrap it in [http.StripPrefix]. The prefix itself, without the slash at its end, is redirected.
func (g *registrar) Mount(prefix string, h http.Handler) *Route {
	where := caller(1)
	if h == nil {
		bad(prefix, where, "its http.Handler is nil")
	}
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return g.add("", prefix, FromHTTP(h), nil, where)
}

// Group returns a group whose routes begin with prefix and have this middleware around them, inside that of
// g. The first is outermost.
func (g *registrar) Group(prefix string, middleware ...Middleware) *Group {
	where := caller(1)
	if prefix != "" && prefix[0] != '/' {
		bad(prefix, where, "the prefix of a group must begin with a slash")
	}
	for _, m := range middleware {
		if m == nil {
			bad(prefix, where, "a Middleware of the group is nil: leave it out instead")
		}
	}
	all := append(slices.Clip(g.middleware), middleware...)
	return &Group{registrar{srv: g.srv, prefix: g.prefix + strings.TrimRight(prefix, "/"), middleware: all}}
}

func (g *registrar) method(method, path string, h HandlerFunc, middleware []Middleware) *Route {
	where := caller(2)
	if path != "" && path[0] != '/' {
		bad(method+" "+path, where, "the path must begin with a slash; hosts are for Handle")
	}
	return g.add(method, path, h, middleware, where)
}

// add registers a route; method is "" for all of them.
func (g *registrar) add(method, path string, h HandlerFunc, middleware []Middleware, where string) *Route {
	pattern := strings.TrimLeft(method+" "+g.prefix+path, " ")
	checkPattern(pattern, method, g.prefix, path, where)
	if h == nil {
		bad(pattern, where, "its handler is nil")
	}
	muxPattern := pattern
	if method != "" && strings.IndexByte(path, '/') == len(path)-1 && path != "" {
		muxPattern += "{$}"
	}
	for _, m := range middleware {
		if m == nil {
			bad(pattern, where, "a Middleware of the route is nil: leave it out instead")
		}
	}
	r := &Route{srv: g.srv, pattern: pattern, mux: muxPattern, where: where, handler: wrap(wrap(h, middleware), g.middleware)}
	if r.handler == nil {
		bad(pattern, where, "a Middleware of the route or its groups returned a nil HandlerFunc: it must return one that calls next")
	}

	s := g.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustBeOpen("route \""+pattern+"\"", where)
	if refusal := register(s.mux, r); refusal != nil {
		panic(s.explain(r, refusal))
	}
	s.routes = append(s.routes, r)
	return r
}

// checkPattern finds the mistakes that net/http would accept or explain badly.
func checkPattern(pattern, method, prefix, path, where string) {
	if strings.ToUpper(method) != method {
		bad(pattern, where, "methods are case-sensitive: write %s", strings.ToUpper(method))
	}
	if path == "" && prefix == "" {
		bad(pattern, where, `the path is empty: write "/"`)
	}
	if prefix != "" && path != "" && path[0] != '/' {
		bad(pattern, where, "the path in a group must begin with a slash or be empty")
	}
	if method == "" && strings.Contains(path, " ") {
		bad(pattern, where, "Mount serves every method: leave the method out")
	}
	for segment := range strings.SplitSeq(prefix+path, "/") {
		if len(segment) > 1 && segment[0] == ':' {
			bad(pattern, where, "%q would be taken literally: write {%s}", segment, segment[1:])
		}
		if strings.HasPrefix(segment, "*") {
			bad(pattern, where, "%q would be taken literally: write {%s...}", segment, max(segment[1:], "path"))
		}
	}
}

// mustBeOpen panics if the server has begun to serve. s.mu is held.
func (s *Server) mustBeOpen(what, where string) {
	if s.entry.Load() != nil {
		panic(fmt.Sprintf("celeris: %s (%s) comes after the server has begun to serve: register everything before", what, where))
	}
}

// explain says why net/http refused a pattern. s.mu is held.
func (s *Server) explain(r *Route, refusal any) string {
	for _, other := range s.routes {
		m := http.NewServeMux()
		if register(m, other) == nil && register(m, r) != nil {
			return fmt.Sprintf("celeris: route %q (%s) conflicts with %q (%s): both match some requests and neither is more specific: remove one of them or give it another path",
				r.pattern, r.where, other.pattern, other.where)
		}
	}
	return fmt.Sprintf("celeris: route %q (%s): %v", r.pattern, r.where, refusal)
}

func bad(pattern, where, format string, args ...any) {
	panic(fmt.Sprintf("celeris: route %q (%s): ", pattern, where) + fmt.Sprintf(format, args...))
}

// caller is the place, file:line, that called the function which is skip levels above its caller.
func caller(skip int) string {
	_, file, line, ok := runtime.Caller(skip + 1)
	if !ok {
		return "unknown place"
	}
	return fmt.Sprintf("%s:%d", file, line)
}
