package celeris

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"syscall"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/exchange"
	"github.com/goceleris/celeris/internal/park"
	"github.com/goceleris/celeris/internal/tlsgate"
)

// parking is what a server parks streams with. Its own engine is opened for the first connection, or listener, that it
// may be able to serve: it costs goroutines and descriptors.
type parking struct {
	open func() park.Engine

	mu      sync.Mutex // guards what follows
	settled bool
	engine  park.Engine // nil if every stream has a goroutine
	own     bool        // open made it
}

// on returns the engine that parks streams on c, or nil.
func (p *parking) on(c net.Conn) park.Engine {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
		p.settle(nil)
	case *tls.Conn:
		if _, g := tlsgate.Of(c); g != nil {
			p.settle(nil)
		}
	}
	if p.engine != nil && p.engine.Parks(c) {
		return p.engine
	}
	return nil
}

// listen prepares for the connections of l and returns the name of what drives their streams, where they are parked.
func (p *parking) listen(l net.Listener) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if own, ok := l.(parker); ok {
		p.settle(own.Engine())
	}
	if _, socket := l.(syscall.Conn); socket {
		p.settle(nil)
	}
	if p.engine == nil {
		return string(engine.Std)
	}
	return p.engine.Name()
}

// now returns the engine that was opened, or nil.
func (p *parking) now() park.Engine {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.engine
}

// settle decides, the first time: for e or, if that is nil, for the server's own.
func (p *parking) settle(e park.Engine) {
	if p.settled {
		return
	}
	p.settled = true
	if p.engine = e; e == nil {
		p.engine = p.open()
		p.own = p.engine != nil
	}
}

// close ends the server's own engine; none is opened after it.
func (p *parking) close() {
	p.mu.Lock()
	p.settled = true
	e, own := p.engine, p.own
	p.mu.Unlock()
	if own {
		e.Close() // it waits for its shards: not under the lock
	}
}

// ConnContext is for the field of this name of somebody else's [http.Server]: streams of its connections are parked then,
// as those of the server's own are. Without it each has a goroutine. What the server parks is ended by [Server.Shutdown].
func (*Server) ConnContext(ctx context.Context, c net.Conn) context.Context {
	return exchange.ForeignConnContext(ctx, c)
}
