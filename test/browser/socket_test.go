package browser

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/websocket"
)

// TestWebSocket_IsUnderstoodByOthers has npm's ws and Chromium talk to echo servers that compress.
func TestWebSocket_IsUnderstoodByOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a browser")
	}
	chromium := requireBrowser(t)
	app := celeris.New(celeris.Config{Logger: slog.New(slog.DiscardHandler)})
	app.GET("/{$}", func(c *celeris.Context) error { return c.HTML(200, "<title>echo</title>") })
	echo := func(c *websocket.Conn, kind websocket.MessageType, data []byte) error {
		return c.WriteMessage(c.Context(), kind, data)
	}
	for name, compression := range map[string]websocket.Compression{
		"lean":     {Enabled: true, Threshold: 1},
		"takeover": {Enabled: true, Threshold: 1, Takeover: true, PeerTakeover: true},
	} {
		websocket.Route(app, "/handler/"+name, websocket.Config{Compression: compression, Handler: func(c *websocket.Conn) {
			for m, err := range c.Messages(c.Context()) {
				if err != nil || echo(c, m.Type, m.Data) != nil {
					return
				}
			}
		}})
		websocket.Route(app, "/callbacks/"+name, websocket.Config{Compression: compression,
			OnMessage: func(c *websocket.Conn, kind websocket.MessageType, data []byte) {
				if err := echo(c, kind, data); err != nil {
					t.Errorf("echo: %v", err)
				}
			}})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- app.Serve(serving, l) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	}()

	ctx, cancel := context.WithTimeout(t.Context(), browsing)
	defer cancel()
	script := exec.CommandContext(ctx, "node", "socket.mjs", "http://"+l.Addr().String(),
		"/handler/lean", "/handler/takeover", "/callbacks/lean", "/callbacks/takeover")
	script.Env = append(os.Environ(), "CHROMIUM="+chromium)
	script.Cancel = func() error { return script.Process.Signal(syscall.SIGTERM) } // it closes its browser
	script.WaitDelay = ending
	out, err := script.CombinedOutput()
	t.Logf("socket.mjs:\n%s", out)
	if err != nil {
		t.Errorf("socket.mjs: %v", err)
	}
}
