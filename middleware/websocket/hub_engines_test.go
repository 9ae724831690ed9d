package websocket_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/middleware/websocket"
)

// On every engine each connection gets each message once, those of one sender in order, while others come and go.
func TestHub_OnEveryEngine(t *testing.T) {
	lender := httptest.NewTLSServer(nil)
	t.Cleanup(lender.Close)
	roots := x509.NewCertPool()
	roots.AddCert(lender.Certificate())
	secure := &tls.Config{Certificates: lender.TLS.Certificates}
	for name, server := range map[string]celeris.Config{
		"epoll": {Engine: engine.Epoll}, "io_uring": {Engine: engine.IOUring}, "std": {Engine: engine.Std}, "TLS": {TLSConfig: secure},
	} {
		for _, way := range []string{"callbacks", "handler"} {
			t.Run(name+"_"+way, func(t *testing.T) {
				server.Logger = quiet
				hub := websocket.NewHub(websocket.HubConfig{Logger: quiet})
				enter := func(c *websocket.Conn) {
					if _, err := hub.Register(c, c.Header("Room")); err != nil {
						t.Error(err)
					}
					_, _ = c.Send(txt, []byte("hello"))
				}
				cfg := websocket.Config{OnOpen: enter, Compression: websocket.Compression{Enabled: true}}
				if way == "handler" {
					cfg.OnOpen, cfg.Handler = nil, func(c *websocket.Conn) {
						enter(c)
						<-c.CloseRead().Done()
					}
				}
				url, _ := serveOn(t, cfg, server)
				join := func(room string, compress bool) *websocket.Conn {
					c := dial(t, url, &websocket.DialOptions{
						Header: map[string][]string{"Room": {room}}, Compression: websocket.Compression{Enabled: compress},
						TLSConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"},
					})
					if _, data, err := c.ReadMessage(t.Context()); err != nil || string(data) != "hello" {
						t.Fatalf("%q, %v", data, err)
					}
					return c
				}
				const conns, senders, messages = 20, 3, 150
				var readers, others sync.WaitGroup
				for i := range conns {
					c := join("a", i%2 == 0)
					readers.Go(func() {
						var next [senders]int
						for range senders * messages {
							_, data, err := c.ReadMessage(t.Context())
							var sender, n int
							if _, bad := fmt.Sscanf(string(data), "%d %d ", &sender, &n); err != nil || bad != nil || n != next[sender] {
								t.Errorf("got %.20q, %v, want %v", data, err, next)
								return
							}
							next[sender]++
						}
						if _, _, err := c.ReadMessage(t.Context()); websocket.CloseCode(err) != websocket.StatusGoingAway {
							t.Errorf("behind them: %v", err)
						}
					})
				}
				for sender := range senders {
					others.Go(func() {
						for n := range messages {
							text := fmt.Sprintf("%d %d %s", sender, n, strings.Repeat("x", 100*sender))
							if got, err := hub.BroadcastTo("a", txt, []byte(text)); got != conns || err != nil {
								t.Errorf("handed to %d, %v", got, err)
								return
							}
						}
					})
				}
				for range 2 {
					others.Go(func() {
						for range 10 {
							_ = join("b", true).CloseNow()
						}
					})
				}
				others.Wait()
				if err := hub.Close(context.Background()); err != nil {
					t.Error(err)
				}
				readers.Wait()
				if s := hub.Stats(); s.Conns != 0 || s.Rooms != 0 || s.Delivered < conns*senders*messages || s.Dropped != 0 {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}
