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

// celerisServer is a hub behind one route and an echo behind another, on one engine.
type celerisServer struct {
	app *celeris.Server
	hub *websocket.Hub
}

// celerisOn is with callbacks, which a user picks for connections that are mostly idle.
func celerisOn(kind engine.Kind) func(deflate bool) (server, error) {
	return func(deflate bool) (server, error) {
		s, cfg := newCeleris(kind, deflate)
		rooms, echo := cfg, cfg
		rooms.OnOpen = func(c *websocket.Conn) {
			_, _ = s.hub.Register(c, c.Param("room")) // one that is gone is no concern of the others
		}
		echo.OnMessage = func(c *websocket.Conn, t websocket.MessageType, data []byte) {
			_, _ = c.Send(t, data) // as above
		}
		s.route(rooms, echo)
		return s, nil
	}
}

// celerisHandler is with a Handler, which a user picks for connections that talk all the time.
func celerisHandler(deflate bool) (server, error) {
	s, cfg := newCeleris(engine.Epoll, deflate)
	rooms, echo := cfg, cfg
	rooms.Handler = func(c *websocket.Conn) {
		if _, err := s.hub.Register(c, c.Param("room")); err == nil {
			<-c.CloseRead().Done()
		}
	}
	echo.Handler = func(c *websocket.Conn) {
		for {
			t, data, err := c.ReadMessage(c.Context())
			if err != nil || c.WriteMessage(c.Context(), t, data) != nil {
				return
			}
		}
	}
	s.route(rooms, echo)
	return s, nil
}

func newCeleris(kind engine.Kind, deflate bool) (*celerisServer, websocket.Config) {
	s := &celerisServer{hub: websocket.NewHub(websocket.HubConfig{})}
	s.app = celeris.New(celeris.Config{Engine: kind, MaxStall: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	return s, websocket.Config{NoKeepalive: true, Compression: websocket.Compression{Enabled: deflate, Threshold: 1}}
}

func (s *celerisServer) route(rooms, echo websocket.Config) {
	websocket.Route(s.app, "/ws/{room}", rooms)
	websocket.Route(s.app, "/echo", echo)
}

func (s *celerisServer) Serve(l net.Listener) error { return s.app.Serve(context.Background(), l) }

func (s *celerisServer) Publish(room string, data []byte) error {
	_, err := s.hub.BroadcastTo(room, websocket.TextMessage, data)
	return err
}

func (s *celerisServer) Dropped() int64 { return s.hub.Stats().Dropped }
