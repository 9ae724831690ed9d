package websocket_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/middleware/websocket"
)

func TestDial_OverTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(websocket.New(websocket.Config{Handler: echo, Subprotocols: []string{"b", "a"}}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	pool := s.Client().Transport.(*http.Transport).TLSClientConfig
	c := dial(t, "wss"+strings.TrimPrefix(s.URL, "https"), &websocket.DialOptions{
		TLSConfig: pool, Subprotocols: []string{"a", "b"}, Header: http.Header{"x-user": {"u"}, "Host": {"example.com"}},
	})
	if c.Subprotocol() != "b" {
		t.Errorf("Subprotocol() = %q", c.Subprotocol())
	}
	big := strings.Repeat("0123456789", 30_000)
	for range 3 {
		if err := c.WriteMessage(t.Context(), websocket.TextMessage, []byte(big)); err != nil {
			t.Fatal(err)
		}
		if _, data, err := c.ReadMessage(t.Context()); string(data) != big || err != nil {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
	}
	// A read that is given up leaves the connection as it is.
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, _, err := c.ReadMessage(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ReadMessage = %v", err)
	}
	if err := c.WriteMessage(t.Context(), websocket.TextMessage, []byte("still")); err != nil {
		t.Fatal(err)
	}
	if _, data, err := c.ReadMessage(t.Context()); string(data) != "still" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	if err := c.Close(1000, "done"); err != nil {
		t.Errorf("Close = %v", err)
	}
}

func TestDial_TellsWhyItFailed(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "come back with a ticket", http.StatusUnauthorized)
	}))
	defer s.Close()
	_, err := websocket.Dial(t.Context(), s.URL, nil)
	e, ok := errors.AsType[*websocket.HandshakeError](err)
	if !ok || e.Response.StatusCode != 401 {
		t.Fatalf("%v", err)
	}
	if b, _ := io.ReadAll(e.Response.Body); !strings.Contains(string(b), "ticket") {
		t.Errorf("body %q", b)
	}
	for _, bad := range []string{"ftp://x", "ws://", "ws://x/#y", "::", "ws://x/%zz"} {
		if _, err := websocket.Dial(t.Context(), bad, nil); err == nil {
			t.Errorf("%q was dialed", bad)
		}
	}
	if _, err := websocket.Dial(t.Context(), s.URL, &websocket.DialOptions{ReadLimit: -1}); err == nil {
		t.Error("a negative limit was taken")
	}
	if _, err := websocket.Dial(t.Context(), "wss"+strings.TrimPrefix(s.URL, "http"), nil); err == nil {
		t.Error("TLS with a server that has none")
	}
}

// script is a server that answers with what it is told.
func script(t *testing.T, answer func(r *http.Request) string) *websocket.DialOptions {
	l := memnet.Listen(0)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			r, err := http.ReadRequest(bufio.NewReader(nc))
			if err == nil {
				_, _ = io.WriteString(nc, answer(r))
			}
			_ = nc.(*memnet.Conn).CloseWrite()
		}
	}()
	t.Cleanup(func() { l.Close() })
	return &websocket.DialOptions{
		Subprotocols: []string{"a"}, Compression: websocket.Compression{Enabled: true},
		NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) },
	}
}

func TestDial_RefusesWrongAnswers(t *testing.T) {
	for name, change := range map[string]func(s string) string{
		"nothing":               func(string) string { return "" },
		"half a head":           func(s string) string { return s[:60] },
		"200":                   func(s string) string { return strings.Replace(s, "101", "200", 1) },
		"no Upgrade":            func(s string) string { return strings.Replace(s, "Upgrade: websocket\r\n", "", 1) },
		"no Connection":         func(s string) string { return strings.Replace(s, "Connection: Upgrade\r\n", "", 1) },
		"wrong key":             func(s string) string { return strings.Replace(s, "Accept: ", "Accept: x", 1) },
		"subprotocol not asked": func(s string) string { return s[:len(s)-2] + "Sec-WebSocket-Protocol: z\r\n\r\n" },
		"two subprotocols": func(s string) string {
			return s[:len(s)-2] + "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n\r\n"
		},
		"extension not asked": func(s string) string { return s[:len(s)-2] + "Sec-WebSocket-Extensions: x\r\n\r\n" },
		"takeover not asked":  func(s string) string { return s[:len(s)-2] + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n" },
		"head without end":    func(s string) string { return s[:len(s)-2] + "X: " + strings.Repeat("x", 300_000) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := script(t, func(r *http.Request) string {
					return change("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
						acceptKey(r.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n")
				})
				if c, err := websocket.Dial(t.Context(), "ws://x/", opts); err == nil {
					t.Errorf("%+v", c)
				}
			})
		})
	}
}

func TestDial_IsBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen(0)
		go func() {
			nc, _ := l.Accept()
			_, _ = io.Copy(io.Discard, nc) // never answers
		}()
		defer l.Close()
		begin := time.Now()
		_, err := websocket.Dial(t.Context(), "ws://x/", &websocket.DialOptions{
			HandshakeTimeout: 3 * time.Second,
			NetDial:          func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) },
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestDial_EndsWithItsServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ends := ending(t, websocket.Config{Handler: func(c *websocket.Conn) { _ = c.Close(4001, "moved") }}, celeris.Config{})
		c, err := websocket.Dial(t.Context(), "ws://site/a", s.options())
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = c.ReadMessage(t.Context())
		if e, ok := errors.AsType[*websocket.CloseError](err); !ok || e.Code != 4001 || e.Reason != "moved" || e.Local {
			t.Errorf("%v", err)
		}
		// Nobody calls Close: the connection ends all the same.
		<-ends
		<-c.Context().Done()
	})
}
