package websocket_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/middleware/websocket"
)

func TestNew_AnswersTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, websocket.Config{Handler: echo, Subprotocols: []string{"v2", "v1"}}, celeris.Config{})
		nc, err := s.l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// What comes with the handshake is not lost.
		r, resp := knock(t, nc, strings.Replace(hello, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: v0, v1, v2\r\n\r\n", 1)+string(text("early"))+string(text("bird")))
		h := resp.Header
		if resp.StatusCode != 101 || h.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || h.Get("Upgrade") != "websocket" ||
			h.Get("Connection") != "Upgrade" || h.Get("Sec-Websocket-Protocol") != "v2" || h.Get("Sec-Websocket-Extensions") != "" {
			t.Errorf("%s %v", resp.Status, h)
		}
		r.want("81 early")
		r.want("81 bird")
		r.send(text("more"))
		r.want("81 more")
		r.Close()
	})
}

func TestNew_KeepsWhatMiddlewareSets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unwound := make(chan struct{})
		s := &site{l: memnet.Listen(0)}
		app := celeris.New(celeris.Config{})
		app.Use(func(next celeris.HandlerFunc) celeris.HandlerFunc {
			return func(c *celeris.Context) error {
				http.SetCookie(c.Response(), &http.Cookie{Name: "session", Value: "1"})
				err := next(c)
				close(unwound)
				return err
			}
		})
		app.GET("/{name}", websocket.New(websocket.Config{Handler: func(c *websocket.Conn) {
			<-unwound
			if c.Param("name") != "a" || c.Header("Host") != "" || c.Request().Host != "site" {
				t.Errorf("param %q, host %q", c.Param("name"), c.Request().Host)
			}
			echo(c)
		}}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- app.Serve(ctx, s.l) }()
		nc, err := s.l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r, resp := knock(t, nc, hello)
		if resp.Header.Get("Set-Cookie") != "session=1" || resp.Header.Get("Date") == "" || resp.StatusCode != 101 {
			t.Errorf("%s %v", resp.Status, resp.Header)
		}
		r.send(text("x"))
		r.want("81 x")
		r.Close()
		cancel()
		<-done
	})
}

func TestNew_RefusesOrigins(t *testing.T) {
	for _, row := range []struct {
		name, origin string
		cfg          websocket.Config
		want         int
	}{
		{"none", "", websocket.Config{}, 101},
		{"same", "http://site", websocket.Config{}, 101},
		{"same, other case", "https://SITE", websocket.Config{}, 101},
		{"same, default port", "http://site:80", websocket.Config{}, 101},
		{"another port", "http://site:8080", websocket.Config{}, 403},
		{"the default port of another scheme", "http://site:443", websocket.Config{}, 403},
		{"another host", "http://evil", websocket.Config{}, 403},
		{"a host that ends alike", "http://evilsite", websocket.Config{}, 403},
		{"null", "null", websocket.Config{OriginPatterns: []string{"*"}}, 403},
		{"no URL", "http://%zz", websocket.Config{OriginPatterns: []string{"*"}}, 403},
		{"with a user", "http://site@evil", websocket.Config{}, 403},
		{"allowed", "https://app.example.com", websocket.Config{OriginPatterns: []string{"*.Example.com"}}, 101},
		{"allowed with a port", "http://localhost:3000", websocket.Config{OriginPatterns: []string{"localhost:*"}}, 101},
		{"not below", "https://example.com", websocket.Config{OriginPatterns: []string{"*.example.com"}}, 403},
		{"behind a proxy", "https://public.example", websocket.Config{Host: func(r *http.Request) string { return r.Header.Get("X-Forwarded-Host") }}, 101},
		{"inside of the proxy", "http://site", websocket.Config{Host: func(r *http.Request) string { return r.Header.Get("X-Forwarded-Host") }}, 403},
		{"by function", "http://evil", websocket.Config{CheckOrigin: func(*http.Request) bool { return true }}, 101},
		{"not by function", "", websocket.Config{CheckOrigin: func(*http.Request) bool { return false }}, 403},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				row.cfg.Handler = func(*websocket.Conn) {}
				s := serve(t, row.cfg, celeris.Config{})
				nc, err := s.l.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				head := strings.Replace(hello, "\r\n\r\n", "\r\nX-Forwarded-Host: public.example\r\n\r\n", 1)
				if row.origin != "" {
					head = strings.Replace(head, "\r\n\r\n", "\r\nOrigin: "+row.origin+"\r\n\r\n", 1)
				}
				_, resp := knock(t, nc, head)
				if resp.StatusCode != row.want {
					t.Errorf("%s, want %d", resp.Status, row.want)
				}
				nc.Close()
			})
		})
	}
	t.Run("twice", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, websocket.Config{Handler: echo}, celeris.Config{})
			nc, _ := s.l.Dial(t.Context())
			_, resp := knock(t, nc, strings.Replace(hello, "\r\n\r\n", "\r\nOrigin: http://site\r\nOrigin: http://evil\r\n\r\n", 1))
			if resp.StatusCode != 403 {
				t.Errorf("%s", resp.Status)
			}
			nc.Close()
		})
	})
}

func TestNew_RefusesWhatIsNoHandshake(t *testing.T) {
	h := websocket.New(websocket.Config{Handler: echo})
	for name, row := range map[string]struct {
		method string
		header http.Header
		want   int
	}{
		"plain GET": {"GET", http.Header{}, 426},
		"POST":      {"POST", http.Header{}, 405},
		"version":   {"GET", http.Header{"Upgrade": {"websocket"}, "Connection": {"upgrade"}, "Sec-Websocket-Version": {"8"}}, 426},
		"good, but the writer can't be taken over": {"GET", http.Header{
			"Upgrade": {"websocket"}, "Connection": {"upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
		}, 500},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(row.method, "/", nil)
		r.Header = row.header
		h.ServeHTTP(w, r)
		if w.Code != row.want {
			t.Errorf("%s: %d, want %d", name, w.Code, row.want)
		}
		if w.Code == 426 && row.header.Get("Upgrade") != "" && w.Header().Get("Sec-Websocket-Version") != "13" {
			t.Errorf("%s: %v", name, w.Header())
		}
	}
}

func TestNew_PanicsOnMistakes(t *testing.T) {
	for name, cfg := range map[string]websocket.Config{
		"there is no Handler":     {},
		"ReadLimit is negative":   {Handler: echo, ReadLimit: -1},
		"OriginPatterns":          {Handler: echo, OriginPatterns: []string{"[a"}},
		"Subprotocols":            {Handler: echo, Subprotocols: []string{"a b"}},
		"Compression.Level is 10": {Handler: echo, Compression: websocket.Compression{Level: 10}},
		"7 bits":                  {Handler: echo, Compression: websocket.Compression{WindowBits: 7}},
	} {
		func() {
			defer func() {
				if p, ok := recover().(string); !ok || !strings.Contains(p, name) {
					t.Errorf("%s: %v", name, p)
				}
			}()
			websocket.New(cfg)
		}()
	}
}
