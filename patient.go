package celeris

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	// acceptPause and maxAcceptPause bound the time between two attempts to accept a connection without a descriptor
	// for it.
	acceptPause    = 5 * time.Millisecond
	maxAcceptPause = 100 * time.Millisecond
	// shortageGap is how long descriptors must have sufficed for a shortage to be over.
	shortageGap = 10 * time.Second
)

// patient is a listener that outlasts a lack of descriptors. Connections wait in the kernel's backlog meanwhile. They
// are not turned away: that would take a descriptor kept for it, which other goroutines of the process compete for.
// It can also stop without an error, for a server that is to go on with the connections it has.
//
// What it returns is what the listener below returned. One goroutine calls Accept.
type patient struct {
	net.Listener
	logger  *slog.Logger
	stopped notice // no connection is accepted any more
	parked  notice // and who accepts has been told so
	closed  notice

	// The shortage that goes on, or was the last.
	failed      int64 // attempts; 0 when it is over
	first, last time.Time
}

func newPatient(l net.Listener, logger *slog.Logger) *patient {
	return &patient{Listener: l, logger: logger, stopped: newNotice(), parked: newNotice(), closed: newNotice()}
}

// Accept waits for a connection, and for a descriptor for it. When the listener is stopped it waits for Close.
func (p *patient) Accept() (net.Conn, error) {
	for pause := acceptPause; ; pause = min(2*pause, maxAcceptPause) {
		c, err := p.Listener.Accept()
		if err == nil {
			p.relieved()
			return c, nil
		}
		if p.stopped.given() {
			p.parked.give()
			<-p.closed.c
			return nil, net.ErrClosed
		}
		if !exhausted(err) {
			return nil, err
		}
		p.lacked(err)
		select {
		case <-time.After(pause):
		case <-p.stopped.c:
		case <-p.closed.c:
			return nil, net.ErrClosed
		}
	}
}

// stop closes the socket and lets Accept wait. When it returns, all connections that were accepted are known to who
// called Accept.
func (p *patient) stop() {
	p.stopped.give()
	_ = p.Listener.Close() // it may be closed already
	select {
	case <-p.parked.c:
	case <-p.closed.c:
	}
}

// Close ends Accept.
func (p *patient) Close() error {
	p.closed.give()
	return p.Listener.Close()
}

// notice is given once.
type notice struct {
	c    chan struct{}
	give func()
}

func newNotice() notice {
	c := make(chan struct{})
	return notice{c, sync.OnceFunc(func() { close(c) })}
}

func (n notice) given() bool {
	select {
	case <-n.c:
		return true
	default:
		return false
	}
}

// lacked notes an attempt that failed, and logs the first of a shortage.
func (p *patient) lacked(err error) {
	p.relieved()
	p.last = time.Now()
	if p.failed++; p.failed > 1 {
		return
	}
	p.first = p.last
	p.logger.LogAttrs(context.Background(), slog.LevelError, "out of descriptors: new connections wait",
		slog.String("addr", p.Addr().String()), slog.Any("error", err))
}

// relieved ends a shortage that is over, and logs it.
func (p *patient) relieved() {
	if p.failed == 0 || time.Since(p.last) < shortageGap {
		return
	}
	p.logger.LogAttrs(context.Background(), slog.LevelInfo, "descriptors suffice again",
		slog.String("addr", p.Addr().String()), slog.Duration("lasted", p.last.Sub(p.first)), slog.Int64("failed", p.failed))
	p.failed = 0
}
