package main

import (
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// coder is the chat of its examples: one goroutine that writes for each client, beside the one of CloseRead.
type coder struct {
	*hub[[]byte]
	options websocket.AcceptOptions
}

func newCoder(deflate bool) (server, error) {
	s := &coder{newHub[[]byte](), websocket.AcceptOptions{}}
	if deflate {
		s.options.CompressionMode = websocket.CompressionNoContextTakeover
		s.options.CompressionThreshold = 1
	}
	return s, nil
}

func (s *coder) Serve(l net.Listener) error { return http.Serve(l, s) }

func (s *coder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &s.options)
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	if r.URL.Path == "/echo" {
		c.SetReadLimit(1 << 20)
		for {
			kind, data, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, data) != nil {
				return
			}
		}
	}
	room, messages := s.join(r.URL.Path)
	defer s.leave(room, messages)
	ctx := c.CloseRead(r.Context())
	for {
		select {
		case m := <-messages:
			if c.Write(ctx, websocket.MessageText, m) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s *coder) Publish(room string, data []byte) error {
	s.publish(room, data)
	return nil
}
