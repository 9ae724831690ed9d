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
//
// What it returns is what the listener below returned. One goroutine calls Accept.
type patient struct {
	net.Listener
	logger *slog.Logger
	closed chan struct{}
	close  func()

	// The shortage that goes on, or was the last.
	failed      int64 // attempts; 0 when it is over
	first, last time.Time
}

func newPatient(l net.Listener, logger *slog.Logger) *patient {
	closed := make(chan struct{})
	return &patient{Listener: l, logger: logger, closed: closed, close: sync.OnceFunc(func() { close(closed) })}
}

// Accept waits for a connection, and for a descriptor for it.
func (p *patient) Accept() (net.Conn, error) {
	for pause := acceptPause; ; pause = min(2*pause, maxAcceptPause) {
		c, err := p.Listener.Accept()
		if err == nil {
			p.relieved()
		}
		if !exhausted(err) {
			return c, err
		}
		p.lacked(err)
		select {
		case <-time.After(pause):
		case <-p.closed:
			return nil, net.ErrClosed
		}
	}
}

// Close also ends a pause of Accept.
func (p *patient) Close() error {
	p.close()
	return p.Listener.Close()
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
