package celeris

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// freshGrace is how long a shutdown waits for the first request of a connection.
const freshGrace = 500 * time.Millisecond

// fresh are the connections of a listener that have not sent a byte yet. net/http would wait five seconds for each of
// them in a shutdown, and browsers open some in advance.
type fresh struct {
	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]struct{}
	closed bool
}

// track is an [http.Server.ConnState].
func (f *fresh) track(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state != http.StateNew {
		delete(f.conns, c)
		return
	}
	if f.closed {
		_ = c.Close()
		return
	}
	if f.conns == nil {
		f.conns = make(map[net.Conn]struct{})
	}
	f.conns[c] = struct{}{}
}

// close closes them, and those that are still to come.
func (f *fresh) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for c := range f.conns {
		_ = c.Close() // it may be closed already
	}
}
