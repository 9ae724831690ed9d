package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/websocket"
)

func ExampleNew() {
	app := celeris.New(celeris.Config{})
	app.GET("/rooms/{id}", websocket.New(websocket.Config{
		OriginPatterns: []string{"*.example.com"},
		Handler: func(c *websocket.Conn) {
			for m, err := range c.Messages(c.Context()) {
				if err != nil {
					return
				}
				reply := fmt.Sprintf("%s: %s", c.Param("id"), m.Data)
				if c.WriteMessage(c.Context(), websocket.TextMessage, []byte(reply)) != nil {
					return
				}
			}
		},
	}))
	log.Fatal(app.Start())
}

func ExampleDial() {
	server := httptest.NewServer(websocket.New(websocket.Config{Handler: echo}))
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := websocket.Dial(ctx, server.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close(websocket.StatusNormalClosure, "")
	_ = c.WriteJSON(ctx, map[string]int{"answer": 42})
	_, data, err := c.ReadMessage(ctx)
	fmt.Println(string(data), err)
	// Output: {"answer":42} <nil>
}

func ExampleRedial() {
	ctx := context.Background()
	for c, err := range websocket.Redial(ctx, "wss://example.com/feed", nil) {
		if e, ok := errors.AsType[*websocket.HandshakeError](err); ok && e.Response.StatusCode == http.StatusUnauthorized {
			break // another attempt would not help
		}
		if err != nil {
			continue
		}
		for m, err := range c.Messages(ctx) {
			if err != nil {
				break
			}
			fmt.Println(string(m.Data))
		}
	}
}

func ExamplePrepare() {
	m, err := websocket.Prepare(websocket.TextMessage, []byte(`{"price":42}`))
	if err != nil {
		log.Fatal(err)
	}
	tell := func(conns map[*websocket.Conn]bool) { // a register of yours
		for c := range conns {
			if outcome, _ := c.SendPrepared(m); outcome == websocket.Dropped {
				_ = c.CloseNow() // too slow
			}
		}
	}
	tell(nil)
}

func ExampleConn_Send() {
	_ = websocket.Config{Handler: func(c *websocket.Conn) {
		ctx := c.CloseRead()
		for tick := range time.Tick(time.Second) {
			if c.BufferedAmount() > 0 {
				continue // it has not taken the last one yet
			}
			if _, err := c.Send(websocket.TextMessage, tick.AppendFormat(nil, time.TimeOnly)); err != nil || ctx.Err() != nil {
				return
			}
		}
	}}
}

func ExampleRoute() {
	app := celeris.New(celeris.Config{})
	websocket.Route(app, "/chat/{room}", websocket.Config{Handler: echo}) // GET, and CONNECT for HTTP/2
}
