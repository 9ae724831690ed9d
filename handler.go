package celeris

import (
	"net/http"

	"github.com/goceleris/celeris/internal/exchange"
)

// HandlerFunc answers one request. An error that it returns is rendered by the server's error handler,
// unless the response has already begun: then it is logged.
//
// A HandlerFunc is also an [http.Handler] and runs on any net/http server and router.
type HandlerFunc func(*Context) error

// Middleware wraps a handler. It is called once for each handler that it wraps, when routes are put
// together, and what it returns is called by many goroutines at once.
type Middleware func(next HandlerFunc) HandlerFunc

var _ http.Handler = (HandlerFunc)(nil)

// ServeHTTP calls f outside any [Server]: errors are rendered by [DefaultErrorHandler], and the limits of
// a [Config] are those of the zero one, except that the body is only bounded in [Context.Bind].
func (f HandlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	exchange.Serve(nil, w, r, f.serve)
}

func (f HandlerFunc) serve(w http.ResponseWriter, r *http.Request) {
	c := newContext(nil, w, r)
	if err := f(c); err != nil {
		c.fail(err)
	}
}

// wrap puts middleware around h, the first outermost. It returns nil if one of them does.
func wrap(h HandlerFunc, middleware []Middleware) HandlerFunc {
	for i := len(middleware) - 1; i >= 0 && h != nil; i-- {
		h = middleware[i](h)
	}
	return h
}
