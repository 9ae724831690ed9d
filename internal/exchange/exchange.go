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
	"reflect"
	"slices"
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
	conn   atomic.Pointer[net.Conn]
	origin context.Context // what all requests of the server have in common; nil if there may be more around it
}

// Exchange is one request and its response as the outermost layer sees them. It is used by the goroutine
// that serves the request only.
type Exchange struct {
	base   *Writer
	req    *http.Request
	host   *Host
	route  string
	run    func(ok bool)
	ends   []func(engine.End)
	inner  context.Context // the innermost that only has values of the server's own
	held   *holder
	stream bool // a stream has begun
	// starts and unwound are what middleware registered that watches the exchange.
	starts   []func()
	unwound  []func(Outcome)
	releases []func() // what takes back what was lent
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
	defer func() {
		for _, f := range slices.Backward(x.unwound) {
			f(x.outcome(ok))
		}
		x.starts, x.unwound = nil, nil // a stream keeps its exchange
	}()
	chain(x.base, r.WithContext(x.inner))
	ok = true
}

// Outcome is what became of a response by the time when the chain has unwound.
type Outcome struct {
	// Status is the final status that was sent, 0 if a connection was hijacked without one.
	Status int
	// Bytes counts those of the body.
	Bytes int64
	// Stream is true if the response became a stream; the rest says nothing then.
	Stream bool
	// Aborted is true if the client was gone before the response began, or the chain panicked.
	Aborted bool
}

func (x *Exchange) outcome(ok bool) Outcome {
	b := x.base
	o := Outcome{Status: b.status, Bytes: b.bytes, Stream: x.stream, Aborted: !ok}
	if o.Status == 0 && !b.hijacked && ok {
		if x.req.Context().Err() != nil {
			o.Aborted = true
		} else {
			o.Status = http.StatusOK // net/http sends it
		}
	}
	if x.req.Method == http.MethodHead {
		o.Bytes = 0
	}
	return o
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
func (x *Exchange) Conn() net.Conn { return Conn(x.req.Context()) }

// Bare reports whether right below the base writer is net/http's own, so that the connection may be used past it. A
// server that is a handler of somebody else's may have something in between that changes what is written.
func (x *Exchange) Bare() bool {
	t := reflect.TypeOf(x.base.ResponseWriter)
	return t.Kind() == reflect.Pointer && t.Elem().PkgPath() == "net/http" && t.Elem().Name() == "response"
}

// Conn is what [ConnContext] made known in ctx, or nil.
func Conn(ctx context.Context) net.Conn {
	if c := carrierOf(ctx); c != nil {
		if conn := c.conn.Load(); conn != nil {
			return *conn
		}
	}
	return nil
}

func carrierOf(ctx context.Context) *carrier {
	c, _ := ctx.Value(connKey{}).(*carrier)
	return c
}

// Lend returns a context that derives from ctx and has v under key until the exchange is released. Who finds it may keep
// the context for as long as a stream lives, and with it no more than this.
func Lend[T any](ctx context.Context, key any, v *T) context.Context {
	lent := &atomic.Pointer[T]{}
	lent.Store(v)
	inner := context.WithValue(ctx, key, lent)
	if x := From(ctx); x != nil {
		x.releases = append(x.releases, func() { lent.Store(nil) })
		if ctx == x.inner {
			x.inner = inner
		}
	}
	return inner
}

// Lent returns what [Lend] put under key, or nil.
func Lent[T any](ctx context.Context, key any) *T {
	if lent, ok := ctx.Value(key).(*atomic.Pointer[T]); ok {
		return lent.Load()
	}
	return nil
}

// Origin returns the context that all requests of the server have in common, if ctx has no other values but those that
// net/http, Serve and Lend give to each request.
func (x *Exchange) Origin(ctx context.Context) (context.Context, bool) {
	c := carrierOf(x.req.Context())
	if ctx != x.inner || c == nil || c.origin == nil {
		return nil, false
	}
	return c.origin, true
}

// Release lets go of the request, its response and its connection, for a stream that goes on without them. Whoever keeps
// a context of the request finds no exchange in it any more, and whoever keeps the exchange or its writer no response.
func (x *Exchange) Release() {
	if c := carrierOf(x.req.Context()); c != nil {
		c.conn.Store(nil)
	}
	x.held.x.Store(nil)
	for _, f := range x.releases {
		f()
	}
	x.releases = nil
	x.base.ResponseWriter = released(x.base.Header())
}

// ConnContext is for [http.Server.ConnContext] of a server whose handler calls Serve first: it makes the connection known
// to [Exchange.Conn].
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return withCarrier(ctx, ctx, c)
}

// ForeignConnContext is ConnContext for a server whose requests may have got more values before Serve is called.
func ForeignConnContext(ctx context.Context, c net.Conn) context.Context {
	return withCarrier(ctx, nil, c)
}

func withCarrier(ctx, origin context.Context, c net.Conn) context.Context {
	known := &carrier{origin: origin}
	known.conn.Store(&c)
	return context.WithValue(ctx, connKey{}, known)
}

// Expect says which bytes the handler is about to write as the start of its stream. It is called before
// the first of them is written, and tells those who asked with [Exchange.OnStreamStart].
func (x *Exchange) Expect(start []byte) {
	x.base.expect = start
	x.stream = true
	for _, f := range x.starts {
		f()
	}
}

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

// OnStreamStart registers f to be called when the response is about to become a stream, on the goroutine of the request.
func (x *Exchange) OnStreamStart(f func()) { x.starts = append(x.starts, f) }

// OnUnwound registers f to be called when the chain has unwound and errors are rendered, before a detached stream runs.
// Unlike middleware it sees the response as it was sent. f must not panic.
func (x *Exchange) OnUnwound(f func(Outcome)) { x.unwound = append(x.unwound, f) }

// Ends returns what OnStreamEnd registered, in order.
func (x *Exchange) Ends() []func(engine.End) { return x.ends }

// Take hands a connection that was hijacked through the base writer to Serve: run is called as by [Exchange.Detach]. It
// returns false, and does nothing, if the connection was not.
func (x *Exchange) Take(run func(ok bool)) bool {
	b := x.base
	if !b.hijacked || b.detached {
		return false
	}
	b.detached, b.seen, b.expect = true, nil, nil
	x.run = run
	return true
}

// Status is the final status that reached the base writer, or 0.
func (x *Exchange) Status() int { return x.base.status }
