package main

import (
	"net"
	"net/http"
	"path"
	"sync"

	"github.com/lxzan/gws"
)

// gwsServer uses its Broadcaster, which makes a frame once and writes it on a goroutine for each connection that is behind.
type gwsServer struct {
	gws.BuiltinEventHandler
	upgrader *gws.Upgrader
	mu       sync.Mutex
	rooms    map[string]map[*gws.Conn]struct{}
}

func newGWS(deflate bool) (server, error) {
	s := &gwsServer{rooms: map[string]map[*gws.Conn]struct{}{}}
	s.upgrader = gws.NewUpgrader(s, &gws.ServerOption{PermessageDeflate: gws.PermessageDeflate{Enabled: deflate, Threshold: 1}})
	return s, nil
}

func (s *gwsServer) Serve(l net.Listener) error { return http.Serve(l, s) }

func (s *gwsServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := s.upgrader.Upgrade(w, r)
	if err != nil {
		return
	}
	if room := path.Base(r.URL.Path); room != "echo" {
		s.mu.Lock()
		if s.rooms[room] == nil {
			s.rooms[room] = map[*gws.Conn]struct{}{}
		}
		s.rooms[room][c] = struct{}{}
		s.mu.Unlock()
	}
	go c.ReadLoop()
}

func (s *gwsServer) OnMessage(c *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	_ = c.WriteMessage(m.Opcode, m.Bytes()) // OnClose tells
}

func (s *gwsServer) Publish(room string, data []byte) error {
	b := gws.NewBroadcaster(gws.OpcodeText, data)
	defer func() { _ = b.Close() }()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.rooms[room] {
		_ = b.Broadcast(c) // one that is gone is no concern of the others
	}
	return nil
}

func (s *gwsServer) Dropped() int64 { return 0 }
