package celeris

import (
	"errors"
	"net/http"

	"github.com/goceleris/celeris/internal/exchange"
)

type contextKey struct{}

var errContextLost = errors.New("celeris: a net/http middleware replaced the request's context instead of deriving from it")

// FromHTTP makes a handler of h. What h writes is the response; there is no error.
func FromHTTP(h http.Handler) HandlerFunc {
	if h == nil {
		panic("celeris: FromHTTP of a nil http.Handler")
	}
	return func(c *Context) error {
		h.ServeHTTP(c.w, c.r)
		return nil
	}
}

// FromHTTPMiddleware makes a [Middleware] of one written for net/http. It may replace the writer and the
// request: the handlers inside it get a [Context] that has those, and shares the values of Set and Get
// with the one outside.
//
// An error that is returned inside is rendered inside, through the server's error handler and the writer
// that the middleware handed on, so that the middleware sees the response as the client will. Handlers
// outside see a nil error.
func FromHTTPMiddleware(middleware func(http.Handler) http.Handler) Middleware {
	if middleware == nil {
		panic("celeris: FromHTTPMiddleware of a nil function")
	}
	return func(next HandlerFunc) HandlerFunc {
		h := middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			outer := exchange.Lent[Context](r.Context(), contextKey{})
			if outer == nil {
				HandlerFunc(func(*Context) error { return errContextLost }).ServeHTTP(w, r)
				return
			}
			c := outer.derive(w, r)
			if err := next(c); err != nil {
				c.fail(err)
			}
		}))
		if h == nil {
			panic("celeris: FromHTTPMiddleware: the middleware returned a nil http.Handler")
		}
		return func(c *Context) error {
			// Only copies go inside: a middleware such as http.TimeoutHandler runs what is there on a
			// goroutine that outlives it.
			ctx := exchange.Lend(c.r.Context(), contextKey{}, c.derive(c.w, c.r))
			h.ServeHTTP(c.w, c.r.WithContext(ctx))
			return nil
		}
	}
}
