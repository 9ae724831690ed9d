//go:build linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/websocket"
)

// resync begins the message that stands for those that a connection has lost.
const resync = "resync"

// hub is the site for WebSocket. What it sends is a position and, behind a line's end, a text; what a client sends comes
// back as it is.
type hub struct{ *websocket.Hub }

func openHub(app *celeris.Server, gone func()) site {
	quiet := slog.New(slog.DiscardHandler)
	h := hub{websocket.NewHub(websocket.HubConfig{
		SubscriberBuffer: history / 2, MaxLagBytes: 256 << 10,
		History: history, HistoryBytes: historyBytes, HistoryAge: 24 * time.Hour, Logger: quiet,
		Envelope: func(position string, data []byte) []byte { return append([]byte(position+"\n"), data...) },
		OnResync: func(_ context.Context, r websocket.Resync) ([]byte, error) {
			return []byte(r.Position + "\n" + resync), nil
		},
		OnSlowConn: func(c websocket.SlowConn) websocket.HubPolicy {
			if c.Conn.Header("Policy") == "drop" {
				return websocket.HubPolicyDrop
			}
			return websocket.HubPolicyClose
		},
	})}
	cfg := websocket.Config{
		PingInterval: 5 * time.Second, PongTimeout: maxStall, CloseTimeout: maxStall / 2, Logger: quiet,
		Compression: websocket.Compression{Enabled: true},
	}
	callbacks, handler := cfg, cfg
	callbacks.OnOpen = func(c *websocket.Conn) { h.enter(c) }
	callbacks.OnMessage = func(c *websocket.Conn, t websocket.MessageType, data []byte) {
		if outcome, err := c.Send(t, data); outcome == websocket.Dropped && err != nil {
			_ = c.Close(websocket.StatusTryAgainLater, "no room for an echo") // fails if it ends anyway
		}
	}
	callbacks.OnClose = func(*websocket.Conn, error) { gone() }
	handler.Handler = func(c *websocket.Conn) {
		defer gone()
		h.enter(c)
		for m, err := range c.Messages(c.Context()) {
			if err != nil || c.WriteMessage(c.Context(), m.Type, m.Data) != nil {
				return
			}
		}
	}
	app.GET("/callbacks/{room}", websocket.New(callbacks))
	app.GET("/handler/{room}", websocket.New(handler))
	return h
}

// enter has a connection go on in its room.
func (h hub) enter(c *websocket.Conn) {
	if _, err := h.Resume(c, c.Header("Position"), c.Param("room")); err != nil {
		_ = c.Close(websocket.StatusInternalError, err.Error()) // fails if it has ended, which is a reason
	}
}

func (h hub) publish(topic, text string) (err error) {
	if topic == "" {
		_, err = h.Broadcast(websocket.TextMessage, []byte(text))
	} else {
		_, err = h.BroadcastTo(topic, websocket.TextMessage, []byte(text))
	}
	return err
}

func (h hub) left() int { return h.Len() }

func (h hub) String() string {
	st := h.Stats()
	return fmt.Sprintf("%d connections, %d messages, %d delivered, %d resyncs, %d closed",
		st.Conns, st.Published, st.Delivered, st.Resyncs, st.Closed)
}

func (h hub) close(ctx context.Context) error { return h.Close(ctx) }

// cutPosition takes a message of the hub apart.
func cutPosition(message string) (position, text string, ok bool) { return strings.Cut(message, "\n") }
