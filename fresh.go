package celeris

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// freshGrace is how long a shutdown waits for the first request of a connection.
const freshGrace = 500 * time.Millisecond

// fresh are the connections of a listener whose first request has not reached a handler yet. Once net/http shuts down
// it drops what it reads from them, and it would wait five seconds for each that sends nothing; browsers open some in
// advance.
type fresh struct {
	mu     sync.Mutex        // guards what follows
	conns  map[net.Conn]bool // whether a byte has come
	closed bool
	none   chan struct{} // closed and forgotten when no connection is left; nil while nobody waits
}

// track is an [http.Server.ConnState].
func (f *fresh) track(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch state {
	case http.StateNew:
		if f.closed {
			_ = c.Close()
			return
		}
		if f.conns == nil {
			f.conns = make(map[net.Conn]bool)
		}
		f.conns[c] = false
	case http.StateActive:
		if _, ok := f.conns[c]; ok {
			f.conns[c] = true
		}
	default: // of HTTP/2 too, before its first request: it tells the client which of them it drops
		f.forget(c)
	}
}

// arrived notes that a request of c has reached its handler.
func (f *fresh) arrived(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(c)
}

func (f *fresh) forget(c net.Conn) {
	delete(f.conns, c)
	if len(f.conns) == 0 && f.none != nil {
		close(f.none)
		f.none = nil
	}
}

// settle returns when no connection is fresh any more, and at the latest when its time is over or ctx ends. Those that
// have sent nothing by then are closed, and those that are still to come.
func (f *fresh) settle(ctx context.Context) {
	f.mu.Lock()
	if len(f.conns) > 0 {
		none := make(chan struct{})
		f.none = none
		f.mu.Unlock()
		grace := time.NewTimer(freshGrace)
		select {
		case <-none:
		case <-grace.C:
		case <-ctx.Done():
		}
		grace.Stop()
		f.mu.Lock()
	}
	defer f.mu.Unlock()
	f.closed = true
	for c, began := range f.conns {
		if !began {
			_ = c.Close() // it may be closed already
		}
	}
}
