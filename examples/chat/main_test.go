package main

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/websocket"
)

// guest is somebody in a room.
type guest struct {
	t *testing.T
	*websocket.Conn
	id string
}

func visit(t *testing.T, server, room, name, after string) *guest {
	t.Helper()
	q := url.Values{"name": {name}, "after": {after}}
	c, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(server, "http")+"/rooms/"+room+"?"+q.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(websocket.StatusNormalClosure, "") })
	return &guest{t: t, Conn: c}
}

// hears waits for a message of a kind and compares what it says.
func (g *guest) hears(kind, want string) {
	g.t.Helper()
	for {
		_, data, err := g.ReadMessage(g.t.Context())
		if err != nil {
			g.t.Fatal(err)
		}
		var m struct {
			message
			ID string `json:"id"`
		}
		if err := json.Unmarshal(data, &m); err != nil {
			g.t.Fatalf("%q: %v", data, err)
		}
		if m.Kind == "say" {
			g.id = m.ID
		}
		got := m.Name + ": " + m.Text
		if m.Kind == "people" {
			got = strings.Join(m.Names, ", ")
		}
		if m.Kind == kind && (kind != "people" || got == want) { // people come and go at their pace
			if got != want {
				g.t.Fatalf("heard %q, want %q", got, want)
			}
			return
		}
	}
}

func (g *guest) says(text string) {
	g.t.Helper()
	if err := g.WriteMessage(g.t.Context(), websocket.TextMessage, []byte(text)); err != nil {
		g.t.Fatal(err)
	}
}

func TestChat(t *testing.T) {
	c, app := newChat(), celeris.New(celeris.Config{})
	c.routes(app)
	s := httptest.NewServer(app)
	t.Cleanup(func() {
		if err := c.hub.Close(context.Background()); err != nil {
			t.Error(err)
		}
		s.Close()
	})

	ann := visit(t, s.URL, "lobby", "Ann", "")
	ann.hears("people", "Ann")
	bob := visit(t, s.URL, "lobby", " Bob  the\tbuilder ", "")
	ann.hears("people", "Ann, Bob the builder")
	bob.hears("people", "Ann, Bob the builder")
	visit(t, s.URL, "elsewhere", "Eve", "").says("not for the lobby")
	ann.says("hello <b>")
	ann.says("   ")
	ann.says(strings.Repeat("x", maxText+1))
	bob.hears("say", "Ann: hello <b>")
	bob.says("hi")
	ann.hears("say", "Ann: hello <b>")
	ann.hears("say", "Bob the builder: hi")

	_ = bob.Close(websocket.StatusNormalClosure, "")
	ann.hears("people", "Ann")
	ann.says("are you there?")
	bob = visit(t, s.URL, "lobby", "Bob", bob.id) // he has not heard himself
	bob.hears("say", "Bob the builder: hi")
	bob.hears("say", "Ann: are you there?")
	visit(t, s.URL, "lobby", "Old", "another-7").hears("again", ": ")
	visit(t, s.URL, "lobby", strings.Repeat("y", maxName+1), "").hears("say", "Ann: hello <b>")
	ann.hears("people", "Ann, Bob, Old, somebody")
}
