package main

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/middleware/websocket"
)

// celerisServer is a hub behind one route and an echo behind another, both with callbacks, on one engine.
type celerisServer struct {
	app *celeris.Server
	hub *websocket.Hub
}

func celerisOn(kind engine.Kind) func(deflate bool) (server, error) {
	return func(deflate bool) (server, error) {
		s := &celerisServer{hub: websocket.NewHub(websocket.HubConfig{})}
		s.app = celeris.New(celeris.Config{Engine: kind, MaxStall: time.Hour, Logger: slog.New(slog.DiscardHandler)})
		cfg := websocket.Config{NoKeepalive: true, Compression: websocket.Compression{Enabled: deflate, Threshold: 1}}
		rooms, echo := cfg, cfg
		rooms.OnOpen = func(c *websocket.Conn) {
			_, _ = s.hub.Register(c, c.Param("room")) // one that is gone is no concern of the others
		}
		echo.OnMessage = func(c *websocket.Conn, t websocket.MessageType, data []byte) {
			_, _ = c.Send(t, data) // as above
		}
		websocket.Route(s.app, "/ws/{room}", rooms)
		websocket.Route(s.app, "/echo", echo)
		return s, nil
	}
}

func (s *celerisServer) Serve(l net.Listener) error { return s.app.Serve(context.Background(), l) }

func (s *celerisServer) Publish(room string, data []byte) error {
	_, err := s.hub.BroadcastTo(room, websocket.TextMessage, data)
	return err
}

func (s *celerisServer) Dropped() int64 { return s.hub.Stats().Dropped }
