package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/middleware/websocket"
)

// limit is above the largest message of the suite, 16 MiB.
const limit = 32 << 20

// agents are the servers that are tried.
type agents struct {
	list   []agent
	cancel context.CancelFunc
	ended  []chan error
}

// agent is one of them, as the fuzzing client has it.
type agent struct {
	Agent string `json:"agent"`
	URL   string `json:"url"`
}

// serveAll starts a server for each engine with a route for each way to compress.
func serveAll(ctx context.Context) (*agents, error) {
	ctx, cancel := context.WithCancel(ctx)
	all := &agents{cancel: cancel}
	for _, kind := range []engine.Kind{engine.Std, engine.Epoll, engine.IOUring} {
		app := celeris.New(celeris.Config{Engine: kind, Logger: slog.New(slog.DiscardHandler)})
		l, err := loopback()
		if err != nil {
			return nil, errors.Join(err, all.stop())
		}
		for name, cfg := range echoes() {
			websocket.Route(app, "/"+name, cfg)
			all.list = append(all.list, agent{
				Agent: fmt.Sprintf("celeris-%s-%s", kind, name),
				URL:   fmt.Sprintf("ws://%s/%s", l.Addr(), name),
			})
		}
		ended := make(chan error, 1)
		go func() { ended <- app.Serve(ctx, l) }()
		all.ended = append(all.ended, ended)
	}
	return all, nil
}

// stop ends all servers and returns how they ended.
func (a *agents) stop() error {
	a.cancel()
	var err error
	for _, ended := range a.ended {
		err = errors.Join(err, <-ended)
	}
	return err
}

// echoes are the ways to write an echo server.
func echoes() map[string]websocket.Config {
	on := websocket.Compression{Enabled: true, Threshold: 1, Takeover: true, PeerTakeover: true}
	return map[string]websocket.Config{
		"plain":      {Handler: echo, ReadLimit: limit},
		"compressed": {Handler: echo, ReadLimit: limit, Compression: on},
		"callbacks":  {OnMessage: answer, ReadLimit: limit, Compression: on},
	}
}

// echo sends back what it gets.
func echo(c *websocket.Conn) {
	for m, err := range c.Messages(c.Context()) {
		if err != nil || c.WriteMessage(c.Context(), m.Type, m.Data) != nil {
			return
		}
	}
}

// answer is a callback that does the same.
func answer(c *websocket.Conn, t websocket.MessageType, data []byte) {
	_ = c.WriteMessage(c.Context(), t, data) // a connection that is over has nobody to tell
}
