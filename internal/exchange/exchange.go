// Package exchange is the seam between a server, which owns the outermost layer of a request, and the
// packages that turn a response into a stream.
//
// # Usage
//
// The server calls [Serve] around its middleware chain. A streaming handler deep inside the chain finds
// the [Exchange] with [From], starts its response through the outermost writer and calls [Exchange.Detach].
// If the start reached the base writer unchanged, the stream is run by Serve after the chain has unwound;
// if something on the way transforms or hides what is written, Detach refuses and the handler runs the
// stream itself, through that something.
package exchange

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/goceleris/celeris/engine"
)

type exchangeKey struct{}
type connKey struct{}

// holder is what a request's context has of its exchange. Contexts are kept for as long as somebody likes; an exchange,
// with the response below it, need not be.
type holder struct{ x atomic.Pointer[Exchange] }

// carrier is a connection as its requests' contexts have it.
type carrier struct {
	conn   net.Conn
	origin context.Context // what all requests of the server have in common; nil if there may be more around it
}

// Exchange is one request and its response as the outermost layer sees them. It is used by the goroutine
// that serves the request only.
type Exchange struct {
	base  *Writer
	req   *http.Request
	host  *Host
	route string
	run   func(ok bool)
	ends  []func(engine.End)
	inner context.Context // of the request that the chain began with
	held  *holder
}

// Serve runs chain around w and r, and after it the stream that was detached in it, if any. Inside
// another exchange it only runs chain. host may be nil: then nobody drains the streams.
func Serve(host *Host, w http.ResponseWriter, r *http.Request, chain func(http.ResponseWriter, *http.Request)) {
	if From(r.Context()) != nil {
		chain(w, r)
		return
	}
	x := &Exchange{base: &Writer{ResponseWriter: w}, req: r, host: host, held: &holder{}}
	x.held.x.Store(x)
	x.inner = context.WithValue(r.Context(), exchangeKey{}, x.held)
	ok := false
	defer func() {
		if x.run != nil {
			x.run(ok)
		}
	}()
	chain(x.base, r.WithContext(x.inner))
	ok = true
}

// From returns the exchange that ctx belongs to, or nil.
func From(ctx context.Context) *Exchange {
	if h, ok := ctx.Value(exchangeKey{}).(*holder); ok {
		return h.x.Load()
	}
	return nil
}

// Request is the request as it was received. Its context ends with the connection and not with the
// middleware chain.
func (x *Exchange) Request() *http.Request { return x.req }

// Base is the writer below all middleware: deadlines are set on it, and a detached stream writes to it.
func (x *Exchange) Base() http.ResponseWriter { return x.base.ResponseWriter }

// Writer is the base writer that [Serve] handed to the chain.
func (x *Exchange) Writer() http.ResponseWriter { return x.base }

// Started reports whether the response has begun or the connection was taken by somebody. It may be
// called from any goroutine.
func (x *Exchange) Started() bool { return x.base.started.Load() }

// Host is the server's register of streams, or nil.
func (x *Exchange) Host() *Host { return x.host }

// SetRoute names the route that serves the request.
func (x *Exchange) SetRoute(pattern string) { x.route = pattern }

// Route is the pattern of the route that serves the request, or "".
func (x *Exchange) Route() string { return x.route }

// Conn is the connection that carries the request, where the server told of it, or nil. HTTP/2 requests
// share theirs.
func (x *Exchange) Conn() net.Conn {
	if c := x.carrier(); c != nil {
		return c.conn
	}
	return nil
}

func (x *Exchange) carrier() *carrier {
	c, _ := x.req.Context().Value(connKey{}).(*carrier)
	return c
}

// Origin returns the context that all requests of the server have in common, if ctx has no other values but those that
// net/http and Serve give to each request.
func (x *Exchange) Origin(ctx context.Context) (context.Context, bool) {
	c := x.carrier()
	if ctx != x.inner || c == nil || c.origin == nil {
		return nil, false
	}
	return c.origin, true
}

// Release lets go of the request, its response and its connection, for a stream that goes on without them. Whoever keeps
// a context of the request finds no exchange in it any more.
func (x *Exchange) Release() {
	if c := x.carrier(); c != nil {
		c.conn = nil
	}
	x.held.x.Store(nil)
}

// ConnContext is for [http.Server.ConnContext] of a server whose handler calls Serve first: it makes the connection known
// to [Exchange.Conn].
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, &carrier{conn: c, origin: ctx})
}

// ForeignConnContext is ConnContext for a server whose requests may have got more values before Serve is called.
func ForeignConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, &carrier{conn: c})
}

// Expect says which bytes the handler is about to write as the start of its stream. It is called before
// the first of them is written.
func (x *Exchange) Expect(start []byte) { x.base.expect = start }

// Detach hands the rest of the stream to Serve: run is called on the request's goroutine once the chain
// has unwound, with ok false if the chain panicked. From here on what the chain writes is refused with
// [ErrDetached]. Detach returns false, and does nothing, unless status 200 and exactly the expected bytes
// reached the base writer, flushed and without a content coding.
func (x *Exchange) Detach(run func(ok bool)) bool {
	b := x.base
	if b.status != http.StatusOK || !b.flushed || b.encoded || b.hijacked || b.expect == nil || !bytes.Equal(b.seen, b.expect) {
		return false
	}
	b.detached, b.seen, b.expect = true, nil, nil
	x.run = run
	return true
}

// OnStreamEnd registers f to be called when the stream that this exchange becomes has ended.
func (x *Exchange) OnStreamEnd(f func(engine.End)) { x.ends = append(x.ends, f) }

// Ends returns what OnStreamEnd registered, in order.
func (x *Exchange) Ends() []func(engine.End) { return x.ends }
