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

	"github.com/goceleris/celeris/engine"
)

type exchangeKey struct{}
type connKey struct{}

// Exchange is one request and its response as the outermost layer sees them. It is used by the goroutine
// that serves the request only.
type Exchange struct {
	base  *Writer
	req   *http.Request
	host  *Host
	route string
	run   func(ok bool)
	ends  []func(engine.End)
}

// Serve runs chain around w and r, and after it the stream that was detached in it, if any. Inside
// another exchange it only runs chain. host may be nil: then nobody drains the streams.
func Serve(host *Host, w http.ResponseWriter, r *http.Request, chain func(http.ResponseWriter, *http.Request)) {
	if From(r.Context()) != nil {
		chain(w, r)
		return
	}
	x := &Exchange{base: &Writer{ResponseWriter: w}, req: r, host: host}
	ok := false
	defer func() {
		if x.run != nil {
			x.run(ok)
		}
	}()
	chain(x.base, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
	ok = true
}

// From returns the exchange that ctx belongs to, or nil.
func From(ctx context.Context) *Exchange {
	x, _ := ctx.Value(exchangeKey{}).(*Exchange)
	return x
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

// Conn is what [ConnContext] made known in ctx, or nil.
func Conn(ctx context.Context) net.Conn {
	c, _ := ctx.Value(connKey{}).(net.Conn)
	return c
}

// ConnContext is for [http.Server.ConnContext]: it makes the connection known to [Exchange.Conn].
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
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
