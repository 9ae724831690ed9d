package main

import (
	"net"
	"net/http"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// gobwas is the low-level library: frames are compiled once and written as they are, a goroutine reads and one writes.
type gobwas struct{ *hub[[]byte] }

func newGobwas(bool) (server, error) { return &gobwas{newHub[[]byte]()}, nil }

func (s *gobwas) Serve(l net.Listener) error { return http.Serve(l, s) }

func (s *gobwas) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, _, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return
	}
	go s.talk(c, r.URL.Path)
}

func (s *gobwas) talk(c net.Conn, path string) {
	defer c.Close()
	if path == "/echo" {
		for {
			data, op, err := wsutil.ReadClientData(c)
			if err != nil || wsutil.WriteServerMessage(c, op, data) != nil {
				return
			}
		}
	}
	room, frames := s.join(path)
	defer s.leave(room, frames)
	go func() {
		for f := range frames {
			if _, err := c.Write(f); err != nil {
				return
			}
		}
	}()
	for {
		if _, _, err := wsutil.ReadClientData(c); err != nil {
			return
		}
	}
}

func (s *gobwas) Publish(room string, data []byte) error {
	s.publish(room, ws.MustCompileFrame(ws.NewTextFrame(data)))
	return nil
}
