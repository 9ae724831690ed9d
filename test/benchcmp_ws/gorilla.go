package main

import (
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

// gorilla is the chat of its examples: a goroutine that reads and one that writes for each client, and prepared messages.
type gorilla struct {
	*hub[*websocket.PreparedMessage]
	upgrader websocket.Upgrader
}

func newGorilla(deflate bool) (server, error) {
	upgrader := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024, EnableCompression: deflate}
	return &gorilla{newHub[*websocket.PreparedMessage](), upgrader}, nil
}

func (s *gorilla) Serve(l net.Listener) error { return http.Serve(l, s) }

func (s *gorilla) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	if r.URL.Path == "/echo" {
		for {
			kind, data, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, data) != nil {
				return
			}
		}
	}
	room, messages := s.join(r.URL.Path)
	defer s.leave(room, messages)
	go func() {
		for m := range messages {
			if c.WritePreparedMessage(m) != nil {
				return
			}
		}
	}()
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			return
		}
	}
}

func (s *gorilla) Publish(room string, data []byte) error {
	m, err := websocket.NewPreparedMessage(websocket.TextMessage, data)
	if err == nil {
		s.publish(room, m)
	}
	return err
}
