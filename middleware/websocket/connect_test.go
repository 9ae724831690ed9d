package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/wsproto"
	"github.com/goceleris/celeris/middleware/websocket"
)

var (
	_ websocket.Registrar = (*celeris.Server)(nil)
	_ websocket.Registrar = (*celeris.Group)(nil)
)

// net/http takes the extended CONNECT only if the process was started with GODEBUG=http2xconnect=1, which is read before
// anything of ours runs.
func TestConnect_InAProcessThatTakesIt(t *testing.T) {
	if os.Getenv("WEBSOCKET_H2") != "" {
		t.Skip("this is that process")
	}
	args := []string{"-test.run=^TestConnect_OverHTTP2$", "-test.timeout=60s", "-test.v"}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "WEBSOCKET_H2=1", "GODEBUG=http2xconnect=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestConnect_OverHTTP2 ")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestConnect_OverHTTP2(t *testing.T) {
	if os.Getenv("WEBSOCKET_H2") == "" {
		t.Skip("run by TestConnect_InAProcessThatTakesIt")
	}
	ends := make(chan celeris.StreamEnd, 1)
	panics := websocket.Config{Logger: quiet, Handler: func(*websocket.Conn) { panic("oh") }}
	app := celeris.New(celeris.Config{Logger: quiet})
	told := func(next celeris.HandlerFunc) celeris.HandlerFunc {
		return func(c *celeris.Context) error {
			c.OnStreamEnd(func(e celeris.StreamEnd) { ends <- e })
			return next(c)
		}
	}
	websocket.Route(app, "/echo/{name}", websocket.Config{
		Handler: echo, Subprotocols: []string{"v1"}, Compression: websocket.Compression{Enabled: true},
	}, told)
	websocket.Route(app, "/panic", panics, told)
	websocket.Route(app, "/wait", websocket.Config{Handler: func(c *websocket.Conn) { <-c.Context().Done() }}, told)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { done <- app.Serve(ctx, l) }()
	client := dialH2(t, l.Addr().String())
	open := func(path string, fields ...string) (*h2stream, *raw) {
		t.Helper()
		s, ok := client.connect(path, fields...)
		if !ok {
			t.Fatalf("%s was not accepted", path)
		}
		return s, &raw{t: t, br: newReader(s)}
	}
	out, r := open("/echo/a", "sec-websocket-protocol", "v1", "sec-websocket-extensions", "permessage-deflate", "origin", "http://site")
	_, _ = out.Write(deflated(strings.Repeat("abc", 100)))
	if got := r.frame(); got[:2] != "c1" {
		t.Fatalf("got %q, want a compressed message", got)
	}
	for i := range 3 {
		msg := fmt.Sprint("hello ", i)
		_, _ = out.Write(text(msg))
		r.want("81 " + msg)
	}
	_, _ = out.Write(masked(wsproto.Close, true, "\x03\xe8"))
	r.want("close 1000")
	r.want("EOF")
	if e := <-ends; e.Kind() != engine.EndPeerGone || websocket.CloseCode(e.Reason) != 1000 {
		t.Errorf("ended by %v", e.Reason)
	}

	if _, ok := client.connect("/echo/b", "origin", "http://evil"); ok {
		t.Error("another origin was accepted")
	}
	out, r = open("/echo/b")
	_, _ = out.Write(text("x"))
	r.want("81 x")
	out.reset()
	if e := <-ends; e.Kind() != engine.EndPeerGone {
		t.Errorf("ended by %v", e.Reason)
	}

	out, r = open("/panic")
	r.want("close 1011")
	_, _ = out.Write(masked(wsproto.Close, true, "\x03\xf3"))
	r.want("EOF")
	<-ends

	out, r = open("/wait")
	cancel()
	r.want("close 1001")
	_, _ = out.Write(masked(wsproto.Close, true, "\x03\xe9"))
	r.want("EOF")
	if e := <-ends; !errors.Is(e.Reason, engine.ErrShutdown) {
		t.Errorf("ended by %v", e.Reason)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve = %v", err)
	}
}
