package websocket

import (
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/goceleris/celeris/internal/exchange"
	"github.com/goceleris/celeris/internal/packed"
)

// life is the request and the context of a connection. Few ask for either, so that the context is made when somebody does,
// and a connection that goes on without a goroutine keeps its request in few bytes.
type life struct {
	lifeMu sync.Mutex // guards what follows
	req    *http.Request
	packed packed.Request  // instead of req; then origin has the rest of its context's values
	origin context.Context // nil with req
	span   *span           // nil until somebody asks for the context, or it ends
}

// span is a connection's context.
type span struct {
	ctx   context.Context
	end   context.CancelCauseFunc
	cause error // why it has ended
}

// pack keeps the request of a connection in as few bytes as can be.
func (l *life) pack(x *exchange.Exchange, local net.Addr) {
	l.lifeMu.Lock()
	defer l.lifeMu.Unlock()
	if l.span != nil {
		return // it has the request's already
	}
	if p, ok := packed.Pack(l.req, local); ok {
		origin, ok := x.Origin(l.req.Context())
		if !ok { // somebody has put values into it
			origin = context.WithoutCancel(l.req.Context())
		}
		l.req, l.packed, l.origin = nil, p, origin
	}
}

// Request is the request that the connection began with, or one like it: a connection without a goroutine keeps it in a
// packed form and makes a new one for each call. Its body is over. Its context is [Conn.Context].
func (l *life) Request() *http.Request {
	l.lifeMu.Lock()
	defer l.lifeMu.Unlock()
	if l.req != nil {
		return l.req.WithContext(l.context())
	}
	return l.packed.Unpack(l.context())
}

// RemoteAddr is the network address of the peer.
func (l *life) RemoteAddr() string {
	l.lifeMu.Lock()
	defer l.lifeMu.Unlock()
	if l.req != nil {
		return l.req.RemoteAddr
	}
	return l.packed.RemoteAddr()
}

// pathValue is that of the request; neither it nor the context has to be made.
func (l *life) pathValue(name string) string {
	l.lifeMu.Lock()
	defer l.lifeMu.Unlock()
	if l.req != nil {
		return l.req.PathValue(name)
	}
	return l.packed.PathValue(name)
}

// headerValue is the first value of a header of the request, as pathValue.
func (l *life) headerValue(name string) string {
	l.lifeMu.Lock()
	defer l.lifeMu.Unlock()
	if l.req != nil {
		return l.req.Header.Get(name)
	}
	return l.packed.Header(name)
}

// Context has the values of the request's context and ends when nothing can be read any more: when the peer has closed
// or is gone, or the connection was cut. [context.Cause] then tells why.
func (l *life) Context() context.Context {
	l.lifeMu.Lock()
	defer l.lifeMu.Unlock()
	return l.context()
}

// context is Context under the lock.
func (l *life) context() context.Context {
	if l.span == nil {
		l.span = &span{}
	}
	if l.span.ctx == nil {
		var values context.Context
		if l.req != nil {
			values = context.WithoutCancel(l.req.Context())
		} else {
			values = l.packed.Context(context.WithoutCancel(l.origin))
		}
		l.span.ctx, l.span.end = context.WithCancelCause(values)
		if l.span.cause != nil {
			l.span.end(l.span.cause)
		}
	}
	return l.span.ctx
}

// cancel ends the context. The first reason counts.
func (l *life) cancel(why error) {
	l.lifeMu.Lock()
	defer l.lifeMu.Unlock()
	if l.span == nil {
		l.span = &span{}
	}
	if l.span.cause != nil {
		return
	}
	if l.span.cause = why; why == nil {
		l.span.cause = context.Canceled
	}
	if l.span.end != nil {
		l.span.end(why)
	}
}

// ended is why the context has ended, or nil.
func (l *life) ended() error {
	l.lifeMu.Lock()
	defer l.lifeMu.Unlock()
	if l.span == nil {
		return nil
	}
	return l.span.cause
}
