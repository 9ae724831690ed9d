package wsspec_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/leak"
	"github.com/goceleris/celeris/middleware/websocket"
	wsspec "github.com/goceleris/celeris/test/spec/websocket"
)

func TestMain(m *testing.M) { leak.Main(m) }

const readLimit = 1 << 20

// echo is a handler that answers every message with itself.
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

// off, on and takeover are the ways to compress. Threshold has small messages compressed too.
var (
	off      = websocket.Compression{}
	on       = websocket.Compression{Enabled: true, Threshold: 1}
	takeover = websocket.Compression{Enabled: true, Threshold: 1, Takeover: true, PeerTakeover: true}
)

func handler(c websocket.Compression) websocket.Config {
	return websocket.Config{Handler: echo, ReadLimit: readLimit, Compression: c}
}

func callbacks(c websocket.Compression) websocket.Config {
	return websocket.Config{OnMessage: answer, ReadLimit: readLimit, Compression: c}
}

func TestCeleris_SpeaksWebSocket(t *testing.T) {
	for _, row := range []struct {
		name string
		kind engine.Kind
		cfg  websocket.Config
		tls  bool
		calm bool // left out with the race detector: the other rows have each engine and each mode
	}{
		{"std, no compression", engine.Std, handler(off), false, true},
		{"std, callbacks", engine.Std, callbacks(takeover), false, false},
		{"epoll", engine.Epoll, handler(takeover), false, false},
		{"epoll, callbacks", engine.Epoll, callbacks(on), false, false},
		{"epoll, callbacks, no compression", engine.Epoll, callbacks(off), false, true},
		{"io_uring", engine.IOUring, handler(on), false, true},
		{"io_uring, callbacks", engine.IOUring, callbacks(takeover), false, false},
		{"TLS", engine.Auto, handler(on), true, true},
		{"TLS, callbacks", engine.Auto, callbacks(on), true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if racing && row.calm {
				t.Skip("the race detector takes too long for every row")
			}
			cfg := celeris.Config{Engine: row.kind, Logger: slog.New(slog.DiscardHandler)}
			dial := plain
			if row.tls {
				cfg.TLSConfig, dial = secure(t)
			}
			app := celeris.New(cfg)
			websocket.Route(app, "/{path...}", row.cfg)
			wsspec.Run(t, target(dial, serve(t, app), row.cfg.Compression.Enabled))
		})
	}
}

func TestHandler_SpeaksWebSocketInAnyServer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(websocket.New(handler(on)))
	t.Cleanup(server.Close)
	wsspec.Run(t, target(plain, server.Listener.Addr().String(), true))
}

func target(dial dialer, addr string, deflate bool) wsspec.Target {
	return wsspec.Target{
		Dial:    func(ctx context.Context) (net.Conn, error) { return dial(ctx, "tcp", addr) },
		Deflate: deflate, ReadLimit: readLimit, Patience: 30 * time.Second,
	}
}

type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

func plain(ctx context.Context, network, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// secure returns a server's configuration and a dialer that trusts it and speaks HTTP/1.1.
func secure(t *testing.T) (*tls.Config, dialer) {
	t.Helper()
	lender := httptest.NewTLSServer(http.NotFoundHandler()) // it has a certificate
	lender.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(lender.Certificate())
	d := tls.Dialer{Config: &tls.Config{RootCAs: trusted, ServerName: "example.com", NextProtos: []string{"http/1.1"}}}
	return &tls.Config{Certificates: lender.TLS.Certificates}, d.DialContext
}

// serve starts a server until the test's end and returns its address.
func serve(t *testing.T, app *celeris.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- app.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}
