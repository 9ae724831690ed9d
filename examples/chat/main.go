// Command chat is a chat with rooms: names, who is there, and what was said before.
//
//	go run ./examples/chat [-addr host:port]
//
// A page that was cut off comes back with the position of the last message it has seen: it misses nothing.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/websocket"
)

//go:embed page.html
var page string

const maxName, maxText = 24, 500 // characters

// message is what is said in a room, and to whom comes there who is in it.
type message struct {
	Kind  string   `json:"kind"` // say, or people
	Name  string   `json:"name,omitempty"`
	Text  string   `json:"text,omitempty"`
	At    int64    `json:"at,omitempty"` // Unix milliseconds
	Names []string `json:"names,omitempty"`
}

// chat is the rooms and who is in them.
type chat struct {
	hub *websocket.Hub

	mu    sync.Mutex // guards rooms
	rooms map[string][]*websocket.Conn
}

func newChat() *chat {
	c := &chat{rooms: make(map[string][]*websocket.Conn)}
	c.hub = websocket.NewHub(websocket.HubConfig{
		History: 100, SubscriberBuffer: 100, // what a newcomer reads, and how far a slow reader may be behind
		Envelope: envelope, OnResync: begin, OnJoin: c.joined, OnLeave: c.left,
	})
	return c
}

// envelope puts its position into a message, for the page to come back with.
func envelope(position string, data []byte) []byte {
	return fmt.Appendf(nil, `{"id":%q,%s`, position, bytes.TrimPrefix(data, []byte("{")))
}

// begin tells a page that has been away for too long to begin anew.
func begin(context.Context, websocket.Resync) ([]byte, error) { return []byte(`{"kind":"again"}`), nil }

func name(c *websocket.Conn) string {
	s := strings.Join(strings.Fields(c.Request().URL.Query().Get("name")), " ")
	if s == "" || utf8.RuneCountInString(s) > maxName {
		return "somebody"
	}
	return s
}

// open lets a connection into its room. What was said since it was last there comes first, or all that is remembered.
func (c *chat) open(conn *websocket.Conn) {
	after := conn.Request().URL.Query().Get("after")
	if after == "" {
		after = websocket.Oldest
	}
	if _, err := c.hub.Resume(conn, after, conn.Param("room")); err != nil {
		log.Print(err)
		go conn.Close(websocket.StatusTryAgainLater, "no room") // it waits for the page
	}
}

// said hands what somebody said to all who are in the room.
func (c *chat) said(conn *websocket.Conn, _ websocket.MessageType, data []byte) {
	text := strings.TrimSpace(string(data))
	if text == "" || utf8.RuneCountInString(text) > maxText || !utf8.ValidString(text) {
		return // the page sends none of these
	}
	m, _ := json.Marshal(message{Kind: "say", Name: name(conn), Text: text, At: time.Now().UnixMilli()}) // it can't fail
	if _, err := c.hub.BroadcastTo(conn.Param("room"), websocket.TextMessage, m); err != nil {
		log.Print(err)
	}
}

func (c *chat) joined(conn *websocket.Conn, room string) {
	c.tell(room, func(there []*websocket.Conn) []*websocket.Conn { return append(there, conn) })
}

func (c *chat) left(conn *websocket.Conn, room string) {
	c.tell(room, func(there []*websocket.Conn) []*websocket.Conn {
		return slices.DeleteFunc(there, func(o *websocket.Conn) bool { return o == conn })
	})
}

// tell tells everybody in a room who is there now. That is of the moment and no history.
func (c *chat) tell(room string, change func([]*websocket.Conn) []*websocket.Conn) {
	c.mu.Lock()
	there := change(slices.Clone(c.rooms[room]))
	if c.rooms[room] = there; len(there) == 0 {
		delete(c.rooms, room)
	}
	c.mu.Unlock()
	m := message{Kind: "people"}
	for _, conn := range there {
		m.Names = append(m.Names, name(conn))
	}
	slices.Sort(m.Names)
	data, _ := json.Marshal(m) // it can't fail
	for _, conn := range there {
		_, _ = conn.Send(websocket.TextMessage, data) // who is gone is gone
	}
}

func (c *chat) routes(app *celeris.Server) {
	app.GET("/", func(ctx *celeris.Context) error { return ctx.HTML(200, page) })
	websocket.Route(app, "/rooms/{room}", websocket.Config{
		OnOpen: c.open, OnMessage: c.said, ReadLimit: 8 * maxText, Compression: websocket.Compression{Enabled: true},
	})
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	app := celeris.New(celeris.Config{})
	newChat().routes(app)
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("chat on http://%s\n", l.Addr())
	_ = app.Serve(ctx, l) // it has logged what there is to say
}
