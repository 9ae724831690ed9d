package websocket

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/goceleris/celeris/internal/wsproto"
)

// DialOptions configure [Dial]. The zero value is ready. What is not described here is as in [Config].
type DialOptions struct {
	// Header is sent with the handshake. Host in it is the request's Host. Headers of the handshake itself can't be set.
	Header http.Header
	// Subprotocols are offered in this order.
	Subprotocols []string
	// NetDial makes the connection below, for TLS too. Nil means a [net.Dialer].
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLSConfig is for wss URLs. Nil means the zero one. The server's name is that of the URL unless it says another.
	TLSConfig *tls.Config
	// Compression offers permessage-deflate.
	Compression Compression

	ReadLimit        int64         // zero means 1 MiB
	HandshakeTimeout time.Duration // bounds all of Dial, beside its ctx; zero means 10 s
	PingInterval     time.Duration // zero means 30 s
	PongTimeout      time.Duration // zero means 15 s
	NoKeepalive      bool
	CloseTimeout     time.Duration // zero means 5 s
	MaxStall         time.Duration // zero means 60 s
	MaxBacklog       int           // zero means 1 MiB
	MaxQueued        int           // zero means 1024
	Logger           *slog.Logger  // nil means slog.Default
}

func (o *DialOptions) settle() (*settings, error) {
	if o == nil {
		o = &DialOptions{}
	}
	s := &settings{client: true, Config: Config{
		Subprotocols: o.Subprotocols, Compression: o.Compression, ReadLimit: o.ReadLimit,
		HandshakeTimeout: o.HandshakeTimeout, PingInterval: o.PingInterval, PongTimeout: o.PongTimeout,
		NoKeepalive: o.NoKeepalive, CloseTimeout: o.CloseTimeout, MaxStall: cmp.Or(o.MaxStall, DefaultMaxStall),
		MaxBacklog: o.MaxBacklog, MaxQueued: o.MaxQueued, Logger: o.Logger,
	}}
	if err := s.fill(); err != nil {
		return nil, fmt.Errorf("websocket: dial: %w", err)
	}
	return s, nil
}

// HandshakeError means that the server answered, and that its answer opens no connection.
type HandshakeError struct {
	// Response is the answer. Its body holds the first 1024 bytes, and needs no Close.
	Response *http.Response
	// Err says what is wrong with it.
	Err error
}

// Error implements error.
func (e *HandshakeError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *HandshakeError) Unwrap() error { return e.Err }

// Dial opens a connection to a ws or wss URL (http and https are taken for them). opts may be nil. ctx bounds the
// handshake only, and its values are those of the connection's context. Whoever dials ends the connection with
// [Conn.Close]. It follows no redirect and uses no proxy. An answer that refuses is a [*HandshakeError].
func Dial(ctx context.Context, rawURL string, opts *DialOptions) (*Conn, error) {
	s, err := opts.settle()
	if err != nil {
		return nil, err
	}
	if opts == nil {
		opts = &DialOptions{}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.HandshakeTimeout, errDialTimeout)
	defer cancel()
	r, secure, err := dialRequest(ctx, rawURL, opts, s)
	if err != nil {
		return nil, fmt.Errorf("websocket: dial: %w", err)
	}
	nc, err := opts.connect(ctx, r.URL, secure)
	if err != nil {
		return nil, fmt.Errorf("websocket: dial: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	c, err := shake(s, nc, r)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = nc.Close()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("websocket: dial: %w", err)
	}
	c.keepAlive()
	return c, nil
}

var errDialTimeout = fmt.Errorf("handshake took longer than the HandshakeTimeout: %w", context.DeadlineExceeded)

// dialRequest makes the opening handshake.
func dialRequest(ctx context.Context, rawURL string, opts *DialOptions, s *settings) (r *http.Request, secure bool, err error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, false, err
	}
	switch u.Scheme {
	case "ws", "http":
		u.Scheme = "http"
	case "wss", "https":
		u.Scheme, secure = "https", true
	default:
		return nil, false, fmt.Errorf("scheme of %q is neither ws nor wss", rawURL)
	}
	if u.Host == "" || u.Fragment != "" {
		return nil, false, fmt.Errorf("%q has no host, or a fragment", rawURL)
	}
	r, err = http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, false, err
	}
	for name, values := range opts.Header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
	var key [16]byte
	_, _ = rand.Read(key[:]) // it never fails
	h := r.Header
	h.Set("Upgrade", "websocket")
	h.Set("Connection", "Upgrade")
	h.Set("Sec-Websocket-Version", wsproto.Version)
	h.Set("Sec-Websocket-Key", base64.StdEncoding.EncodeToString(key[:]))
	h.Del("Sec-Websocket-Protocol")
	h.Del("Sec-Websocket-Extensions")
	for _, p := range opts.Subprotocols {
		h.Add("Sec-Websocket-Protocol", p)
	}
	if s.Compression.Enabled {
		h.Set("Sec-Websocket-Extensions", s.Compression.client().Offer())
	}
	return r, secure, nil
}

// connect makes the connection below.
func (o *DialOptions) connect(ctx context.Context, u *url.URL, secure bool) (net.Conn, error) {
	port := u.Port()
	if port == "" {
		port = "80"
		if secure {
			port = "443"
		}
	}
	dial := o.NetDial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	nc, err := dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil || !secure {
		return nc, err
	}
	cfg := o.TLSConfig.Clone()
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	cfg.ServerName = cmp.Or(cfg.ServerName, u.Hostname())
	cfg.NextProtos = []string{"http/1.1"}
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return tc, nil
}

// shake sends the handshake and reads its answer.
func shake(s *settings, nc net.Conn, r *http.Request) (*Conn, error) {
	if err := r.Write(nc); err != nil {
		return nil, err
	}
	br := bufio.NewReader(&io.LimitedReader{R: nc, N: maxHead})
	resp, err := http.ReadResponse(br, r) //nolint:bodyclose // whoever gets an error closes the connection below
	if err != nil {
		return nil, err
	}
	protocol, err := wsproto.CheckResponse(resp, r.Header.Get("Sec-Websocket-Key"), s.Subprotocols)
	var deflate wsproto.Deflate
	compressed := false
	if err == nil {
		var want *wsproto.Deflate
		if s.Compression.Enabled {
			want = new(s.Compression.client())
		}
		deflate, compressed, err = wsproto.ParseAnswer(resp.Header["Sec-Websocket-Extensions"], want)
	}
	if err != nil {
		if resp.StatusCode != http.StatusSwitchingProtocols {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 1024)) // what there is of it
			resp.Body = io.NopCloser(bytes.NewReader(body))
		}
		return nil, &HandshakeError{Response: resp, Err: err}
	}
	early, err := br.Peek(br.Buffered())
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = nc.RemoteAddr().String()
	c := start(s, nc, r, bytes.Clone(early))
	c.protocol = protocol
	if compressed {
		c.agree(deflate)
	}
	return c, nil
}

// maxHead bounds what is read of the answer.
const maxHead = 256 << 10
