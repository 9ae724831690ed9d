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

func ExampleNew_callbacks() {
	app := celeris.New(celeris.Config{})
	app.GET("/echo", websocket.New(websocket.Config{
		OnOpen: func(c *websocket.Conn) { c.Set("since", time.Now()) },
		OnMessage: func(c *websocket.Conn, t websocket.MessageType, data []byte) {
			if _, err := c.Send(t, data); errors.Is(err, websocket.ErrBacklog) {
				log.Print("the peer sends faster than it reads") // the message is dropped
			}
		},
		OnClose: func(c *websocket.Conn, reason error) {
			since, _ := c.Get("since")
			log.Printf("%s was there since %v: %v", c.RemoteAddr(), since, reason)
		},
	}))
	log.Fatal(app.Start())
}

func ExampleHub() {
	hub := websocket.NewHub(websocket.HubConfig{
		OnJoin:  func(c *websocket.Conn, room string) { log.Printf("%s is in %s", c.RemoteAddr(), room) },
		OnLeave: func(c *websocket.Conn, room string) { log.Printf("%s has left %s", c.RemoteAddr(), room) },
	})
	app := celeris.New(celeris.Config{})
	app.GET("/rooms/{room}", websocket.New(websocket.Config{
		OnOpen: func(c *websocket.Conn) {
			if _, err := hub.Register(c, c.Param("room")); err != nil {
				log.Print(err)
			}
		},
		OnMessage: func(c *websocket.Conn, t websocket.MessageType, data []byte) {
			n, err := hub.BroadcastTo(c.Param("room"), t, data)
			log.Printf("handed to %d connections: %v", n, err)
		},
	}))
	log.Fatal(app.Start())
}

// A client that remembers the position of the last message it has seen comes back with it and misses nothing.
func ExampleHub_Resume() {
	hub := websocket.NewHub(websocket.HubConfig{
		Envelope: func(position string, data []byte) []byte {
			return fmt.Appendf(nil, `{"position":%q,"data":%s}`, position, data)
		},
		OnResync: func(_ context.Context, r websocket.Resync) ([]byte, error) {
			return fmt.Appendf(nil, `{"position":%q,"lost":%q}`, r.Position, r.Reason), nil // load it all again
		},
	})
	cfg := websocket.Config{OnOpen: func(c *websocket.Conn) {
		if _, err := hub.Resume(c, c.Request().URL.Query().Get("after"), "prices"); err != nil {
			log.Print(err)
		}
	}}
	http.Handle("/prices", websocket.New(cfg))
	_, _ = hub.BroadcastTo("prices", websocket.TextMessage, []byte(`{"ACME":101}`))
}

func ExampleHub_BroadcastFilter() {
	hub := websocket.NewHub(websocket.HubConfig{})
	n, err := hub.BroadcastFilter(websocket.TextMessage, []byte("for admins"), func(c *websocket.Conn) bool {
		role, _ := c.Get("role")
		return role == "admin"
	})
	fmt.Println(n, err)
	_ = hub.Close(context.Background())
	// Output: 0 <nil>
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
