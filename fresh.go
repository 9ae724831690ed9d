package celeris

import (
	"net"
	"net/http"
	"sync"
)

// fresh are the connections of a listener that have not sent a byte yet. net/http would wait five seconds for each of
// them in a shutdown, and browsers open some in advance.
type fresh struct {
	mu    sync.Mutex // guards conns
	conns map[net.Conn]struct{}
}

// track is an [http.Server.ConnState].
func (f *fresh) track(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state != http.StateNew {
		delete(f.conns, c)
		return
	}
	if f.conns == nil {
		f.conns = make(map[net.Conn]struct{})
	}
	f.conns[c] = struct{}{}
}

// close closes them. Nothing is lost: a client whose connection closes before it has sent anything tries another.
func (f *fresh) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close() // it may be closed already
	}
}
