package celeris_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/goceleris/celeris"
)

// pipes is a listener whose connections are in memory, so that it can be used in a bubble of synctest.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	close func()
}

func newPipes() *pipes {
	done := make(chan struct{})
	return &pipes{make(chan net.Conn), done, sync.OnceFunc(func() { close(done) })}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.close(); return nil }
func (l *pipes) Addr() net.Addr { return pipeAddr{} }

func (l *pipes) Dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// protocol is one of the ways to reach a server.
type protocol struct {
	name, proto string
	tls         bool
}

var protocols = []protocol{
	{"HTTP/1.1", "HTTP/1.1", false},
	{"HTTP/2 over TLS", "HTTP/2.0", true},
	{"h2c", "HTTP/2.0", false},
}

// certificate is one for example.com, with the pool that trusts it.
var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	ts := httptest.NewTLSServer(nil)
	defer ts.Close()
	pool := x509.NewCertPool()
	pool.AddCert(ts.Certificate())
	return ts.TLS.Certificates[0], pool
})

// config adds to cfg what p needs.
func (p protocol) config(cfg celeris.Config) celeris.Config {
	if p.tls {
		cert, _ := certificate()
		cfg.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

func (p protocol) url(path string) string {
	if p.tls {
		return "https://example.com" + path
	}
	return "http://example.com" + path
}

// client returns a client that reaches l, and closes its connections when the test ends.
func (p protocol) client(t testing.TB, l *pipes) *http.Client {
	t.Helper()
	tr := &http.Transport{
		Protocols:   new(http.Protocols),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) },
	}
	switch {
	case p.tls:
		_, pool := certificate()
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
		tr.Protocols.SetHTTP2(true)
	case p.proto == "HTTP/2.0":
		tr.Protocols.SetUnencryptedHTTP2(true)
	default:
		tr.Protocols.SetHTTP1(true)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// serve serves app on l until the test ends. The channel yields what Serve returned.
func serve(t testing.TB, app *celeris.Server, l net.Listener) <-chan error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	result, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		result <- app.Serve(ctx, l)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return result
}

// request sends a request and returns the status and the body.
func request(t testing.TB, c *http.Client, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: read body: %v", method, url, err)
	}
	return res.StatusCode, string(b)
}

// record serves one request with a recorder. Header are pairs.
func record(h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// mustPanic returns the text with which f panics.
func mustPanic(t testing.TB, f func()) (message string) {
	t.Helper()
	defer func() {
		t.Helper()
		v := recover()
		if v == nil {
			t.Error("no panic")
		}
		message, _ = v.(string)
	}()
	f()
	return
}

// logs is a logger that keeps its text.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func quiet() celeris.Config { return celeris.Config{Logger: slog.New(slog.DiscardHandler)} }

// says returns a handler that answers with text.
func says(text string) celeris.HandlerFunc {
	return func(c *celeris.Context) error { return c.String(http.StatusOK, text) }
}

// pipeAddr is the address of all pipes: no kind of socket, so that no engine is opened for them.
type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipes" }
