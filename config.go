package celeris

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/goceleris/celeris/engine"
)

// Limits that hold where [Config] says nothing.
const (
	defaultAddr              = ":8080"
	defaultReadHeaderTimeout = 10 * time.Second
	defaultIdleTimeout       = 120 * time.Second
	defaultMaxStall          = 60 * time.Second
	defaultDrainTimeout      = 10 * time.Second
	defaultMaxBody           = 4 << 20
	defaultMaxHeaderBytes    = 64 << 10
	defaultMaxCallbacks      = 4096
)

// Config is what a [Server] is made from. The zero Config serves cleartext HTTP/1.1 and HTTP/2 on port
// 8080 with limits on size and on idle time; how slowly a
// body may arrive is left to what is in front of it.
type Config struct {
	// Addr is the TCP address that Start and StartContext listen on. Empty means ":8080".
	Addr string

	// TLSConfig makes the server speak TLS, with HTTP/2 and HTTP/1.1 offered to the client. It must
	// hold a certificate or a way to get one, and is copied by [New]. Nil means cleartext: HTTP/1.1 and
	// HTTP/2 with prior knowledge (h2c).
	TLSConfig *tls.Config

	// Engine is how streams are driven. Where the system doesn't have it, the next best is used, which the log tells when
	// the server starts. Empty means [engine.Auto].
	Engine engine.Kind

	// Logger receives what the server has to report, and what net/http reports to its error log. Nil
	// means [slog.Default] as it is when [New] is called.
	Logger *slog.Logger

	// ReadHeaderTimeout bounds how long a client may take to send the head of a request. Zero means 10 s.
	ReadHeaderTimeout time.Duration

	// IdleTimeout is how long a connection is kept open between two requests. Zero means 120 s.
	IdleTimeout time.Duration

	// WriteTimeout bounds an ordinary request from the end of its head to the end of its response. It
	// never applies to a stream. Zero means that there is no bound.
	WriteTimeout time.Duration

	// MaxStall is how long a stream may make no progress before it is ended. Zero means 60 s.
	MaxStall time.Duration

	// DrainTimeout is how long a shutdown waits for requests and streams to end before it cuts them,
	// where the context given to Shutdown has no deadline. Zero means 10 s.
	DrainTimeout time.Duration

	// MaxStreams is how many streams of the server may be open at once, whatever carries them: keep it below the number
	// of descriptors that the process may have. One more is turned away before any of its callbacks runs: an
	// EventSource in a browser with a 200 that ends at once and says when to come back, since anything else would stop
	// it for good, all others with a 503 and Retry-After. The bound is exact: a stream counts from when its OnConnect
	// has accepted it until its OnDisconnect has returned, and one that finds the last place taken by then is turned
	// away as well. Zero means that there is no limit.
	MaxStreams int

	// MaxStreamsPerClient is how many of them may be one client's, which is an IPv4 address, an IPv6 /64 or a link-local
	// address. One more is turned away like one above MaxStreams. Browsers open a stream per tab, and everybody behind
	// an address translator is one client. Zero means that there is no limit.
	MaxStreamsPerClient int

	// ClientIP says who sent a request, for MaxStreamsPerClient: behind a proxy, what a header says that this proxy sets
	// and that clients can't. It is called by many goroutines at once, once for each request for a stream and on its
	// goroutine, so a panic in it is one of that request; without MaxStreamsPerClient it is not called. For a request of
	// which it returns the zero Addr, MaxStreamsPerClient does not apply. Nil means the address of RemoteAddr, and the
	// zero Addr where that has none, as on a Unix socket.
	ClientIP func(*http.Request) netip.Addr

	// MaxBody is how many bytes of a request's body can be read; [Route.MaxBody] changes it for one
	// route. Zero means 4 MiB; for no bound at all say [math.MaxInt64].
	MaxBody int64

	// MaxHeaderBytes bounds the head of a request. Zero means 64 KiB.
	MaxHeaderBytes int

	// MaxCallbacks bounds how many callbacks about the end of a stream run at once, where the stream has no goroutine of
	// its own: those of a stream that an engine drives, one after the other, count as one. Above it they wait, first
	// come, first served; nothing else of the server does. One that takes longer than a minute loses its place to one
	// that waits; as many may be without a place as have one. A shutdown reports those that never return. Zero means 4096.
	MaxCallbacks int

	// ErrorHandler renders the errors that handlers and middleware return. It is called while nothing of
	// the response has been written, with an error that always has an [HTTPError] with a valid code in its
	// chain. Nil means [DefaultErrorHandler]. It is called by many goroutines at once.
	ErrorHandler func(*Context, error)
}

// withDefaults returns c with every default filled in. It panics if a value makes no sense.
func (c Config) withDefaults() Config {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"ReadHeaderTimeout", int64(c.ReadHeaderTimeout)},
		{"IdleTimeout", int64(c.IdleTimeout)},
		{"WriteTimeout", int64(c.WriteTimeout)},
		{"MaxStall", int64(c.MaxStall)},
		{"DrainTimeout", int64(c.DrainTimeout)},
		{"MaxStreams", int64(c.MaxStreams)},
		{"MaxStreamsPerClient", int64(c.MaxStreamsPerClient)},
		{"MaxBody", c.MaxBody},
		{"MaxHeaderBytes", int64(c.MaxHeaderBytes)},
		{"MaxCallbacks", int64(c.MaxCallbacks)},
	} {
		if f.value < 0 {
			panic(fmt.Sprintf("celeris: Config.%s is negative (%d): leave it zero for the default, or give a positive value", f.name, f.value))
		}
	}
	switch c.Engine {
	case engine.Auto, engine.Std, engine.Epoll, engine.IOUring:
	default:
		panic(fmt.Sprintf("celeris: Config.Engine is %q: use one of the constants of package engine", c.Engine))
	}
	if t := c.TLSConfig; t != nil {
		if len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil {
			panic("celeris: Config.TLSConfig has no certificate: set Certificates, GetCertificate or GetConfigForClient")
		}
		c.TLSConfig = t.Clone()
	}
	c.Addr = cmp.Or(c.Addr, defaultAddr)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.ReadHeaderTimeout = cmp.Or(c.ReadHeaderTimeout, defaultReadHeaderTimeout)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, defaultIdleTimeout)
	c.MaxStall = cmp.Or(c.MaxStall, defaultMaxStall)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, defaultDrainTimeout)
	c.MaxBody = cmp.Or(c.MaxBody, defaultMaxBody)
	c.MaxHeaderBytes = cmp.Or(c.MaxHeaderBytes, defaultMaxHeaderBytes)
	c.MaxCallbacks = cmp.Or(c.MaxCallbacks, defaultMaxCallbacks)
	if c.ErrorHandler == nil {
		c.ErrorHandler = DefaultErrorHandler
	}
	return c
}
