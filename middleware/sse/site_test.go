package sse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine/sim"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/internal/park"
	"github.com/goceleris/celeris/middleware/sse"
)

// way is a protocol that carries a stream, and whether the stream is parked on an engine or has a goroutine.
type way struct {
	name   string
	major  int
	tls    bool
	parked bool
}

var (
	h1     = way{"HTTP/1.1", 1, false, false}
	parked = way{"HTTP/1.1 parked", 1, false, true}
	h2c    = way{"h2c", 2, false, false}
	h2     = way{"HTTP/2 over TLS", 2, true, false}
	ways   = []way{h1, parked, h2c, h2}
)

// inBubbles runs a test over every protocol, each in a bubble of its own.
func inBubbles(t *testing.T, f func(t *testing.T, w way)) {
	certificate()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, w) })
		})
	}
}

// certificate is one for example.com, with the pool that trusts it. It is first asked for outside any bubble.
var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	ts := httptest.NewTLSServer(nil)
	defer ts.Close()
	pool := x509.NewCertPool()
	pool.AddCert(ts.Certificate())
	return ts.TLS.Certificates[0], pool
})

var quiet = slog.New(slog.DiscardHandler)

// site is a server with one route, on a network in memory or on a real one.
type site struct {
	t      *testing.T
	way    way
	app    *celeris.Server
	net    net.Listener
	served chan error
}

// parking is a network in memory whose streams are parked.
type parking struct {
	*memnet.Listener
	engine *sim.Engine
}

func (p parking) Engine() park.Engine { return p.engine }

// newSite serves h as "/" until the test ends, on a network in memory.
func newSite(t *testing.T, w way, cfg celeris.Config, h celeris.HandlerFunc) *site {
	t.Helper()
	return newSiteOn(t, memnet.Listen(0), w, cfg, h)
}

func newSiteOn(t *testing.T, l net.Listener, w way, cfg celeris.Config, h celeris.HandlerFunc) *site {
	t.Helper()
	if w.tls {
		cert, _ := certificate()
		cfg.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	s := &site{t: t, way: w, app: celeris.New(cfg), net: l, served: make(chan error, 1)}
	s.app.GET("/", h)
	if m, ok := l.(*memnet.Listener); ok && w.parked {
		e := sim.New()
		t.Cleanup(e.Close)
		l = parking{m, e}
	}
	go func() { s.served <- s.app.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.app.Shutdown(ctx) // tests that are about it look at its result themselves
		<-s.served
	})
	return s
}

// stream serves cfg with defaults that make streams predictable.
func stream(t *testing.T, w way, cfg sse.Config) *site {
	t.Helper()
	return newSite(t, w, celeris.Config{}, sse.New(tame(cfg)))
}

func tame(cfg sse.Config) sse.Config {
	if cfg.RetryJitter == 0 {
		cfg.RetryJitter = 1 // no more than a nanosecond
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	return cfg
}

// newBroker returns a broker that is closed when the test ends.
func newBroker(t *testing.T, cfg sse.BrokerConfig) *sse.Broker {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	b, err := sse.NewBroker(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = b.Close(ctx) // tests that are about it look at its result themselves
	})
	return b
}

func publish(t *testing.T, b *sse.Broker, data string, topics ...string) string {
	t.Helper()
	p, err := b.Publish(context.Background(), sse.Event{Data: data}, topics...)
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	return p.ID()
}

// on names topics for a Config.
func on(topics ...string) func(*celeris.Context) ([]string, error) {
	return func(*celeris.Context) ([]string, error) { return topics, nil }
}

// dial opens a connection to the site.
func (s *site) dial(ctx context.Context) (net.Conn, error) {
	if l, ok := s.net.(*memnet.Listener); ok {
		return l.Dial(ctx)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", s.net.Addr().String())
}

// do sends a request on a connection of its own, which the test's end closes. Header are pairs.
func (s *site) do(method, target string, header ...string) (*http.Response, net.Conn) {
	s.t.Helper()
	var conn net.Conn
	tr := s.transport(func(ctx context.Context) (c net.Conn, err error) {
		conn, err = s.dial(ctx)
		return conn, err
	})
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, method, s.url()+target, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := tr.RoundTrip(r)
	s.t.Cleanup(func() {
		cancel()
		if conn != nil {
			conn.Close()
		}
		tr.CloseIdleConnections()
	})
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, target, err)
	}
	return res, conn
}

// url is the site's origin.
func (s *site) url() string {
	if s.way.tls {
		return "https://example.com"
	}
	return "http://example.com"
}

// client speaks the site's protocol.
func (s *site) client() *http.Client { return &http.Client{Transport: s.transport(s.dial)} }

func (s *site) transport(dial func(context.Context) (net.Conn, error)) *http.Transport {
	tr := &http.Transport{
		Protocols: new(http.Protocols), DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}
	switch {
	case s.way.tls:
		_, pool := certificate()
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
		tr.Protocols.SetHTTP2(true)
	case s.way.major == 2:
		tr.Protocols.SetUnencryptedHTTP2(true)
	default:
		tr.Protocols.SetHTTP1(true)
	}
	return tr
}

// status requests and returns the status and the body.
func (s *site) status(method, target string, header ...string) (*http.Response, string) {
	s.t.Helper()
	res, _ := s.do(method, target, header...)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("%s %s: read body: %v", method, target, err)
	}
	return res, string(b)
}

// tab is a stream as a browser's tab reads it, on a connection of its own.
type tab struct {
	t    *testing.T
	res  *http.Response
	conn net.Conn
	more chan struct{} // has a token when there may be another block
	done chan struct{} // closed at the end of the stream

	mu     sync.Mutex // guards what follows
	blocks []string   // not taken yet
	lastID string
	err    error // why reading ended; nil for a clean end
}

// visit opens a stream. Header are pairs.
func (s *site) visit(header ...string) *tab {
	s.t.Helper()
	return s.visitAt("/", header...)
}

func (s *site) visitAt(target string, header ...string) *tab {
	s.t.Helper()
	res, conn := s.do(http.MethodGet, target, header...)
	if res.StatusCode != http.StatusOK {
		s.t.Fatalf("status %d, want 200", res.StatusCode)
	}
	b := &tab{t: s.t, res: res, conn: conn, more: make(chan struct{}, 1), done: make(chan struct{})}
	go b.read()
	s.t.Cleanup(func() {
		conn.Close()
		<-b.done
		res.Body.Close()
	})
	return b
}

// resume opens a stream with what the tab would send as its last event ID.
func (s *site) resume(b *tab) *tab {
	s.t.Helper()
	return s.visit("Last-Event-Id", b.last())
}

var epochs = regexp.MustCompile(`id: [0-9A-Za-z]+-`)

func (b *tab) read() {
	defer close(b.done)
	r := bufio.NewReader(b.res.Body)
	var lines []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			b.mu.Lock()
			if len(lines) > 0 || line != "" {
				b.blocks = append(b.blocks, "cut: "+strings.Join(append(lines, line), "|"))
			}
			if err != io.EOF {
				b.err = err
			}
			b.mu.Unlock()
			return
		}
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			lines = append(lines, line)
			continue
		}
		b.mu.Lock()
		for _, l := range lines {
			if id, ok := strings.CutPrefix(l, "id: "); ok {
				b.lastID = id
			}
		}
		b.blocks = append(b.blocks, epochs.ReplaceAllString(strings.Join(lines, "|"), "id: E-"))
		b.mu.Unlock()
		lines = nil
		select {
		case b.more <- struct{}{}:
		default:
		}
	}
}

func (b *tab) last() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lastID
}

// take returns the blocks that have arrived, one string each: lines joined by "|", the epoch replaced by E.
func (b *tab) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	blocks := b.blocks
	b.blocks = nil
	return blocks
}

// all is take when everything that can happen now has happened. It is for bubbles.
func (b *tab) all() []string {
	synctest.Wait()
	return b.take()
}

// next waits for one block.
func (b *tab) next() string {
	b.t.Helper()
	ended := false
	for {
		b.mu.Lock()
		if len(b.blocks) > 0 {
			block := b.blocks[0]
			b.blocks = b.blocks[1:]
			b.mu.Unlock()
			return block
		}
		b.mu.Unlock()
		if ended {
			b.t.Fatalf("the stream ended: %v", b.err)
		}
		select {
		case <-b.more:
		case <-b.done:
			ended = true
		case <-time.After(time.Minute):
			b.t.Fatal("no block within a minute")
		}
	}
}

// rest waits for the end of the stream and returns what had come until then.
func (b *tab) rest() []string {
	b.t.Helper()
	select {
	case <-b.done:
	case <-time.After(time.Hour):
		b.t.Fatal("the stream has not ended")
	}
	return b.take()
}

// open reports whether the stream goes on. It is for bubbles.
func (b *tab) open() bool {
	synctest.Wait()
	select {
	case <-b.done:
		return false
	default:
		return true
	}
}

// hold makes the reader of a network in memory stand still, and release lets it go on.
func (b *tab) hold()    { b.conn.(*memnet.Conn).Hold() }
func (b *tab) release() { b.conn.(*memnet.Conn).Release() }

// leave closes the connection.
func (b *tab) leave() { b.conn.Close() }

func equal(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func is(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}
