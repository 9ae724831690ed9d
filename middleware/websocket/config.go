package websocket

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris/internal/exchange"
	"github.com/goceleris/celeris/internal/park"
	"github.com/goceleris/celeris/internal/wsproto"
)

// Defaults of [Config] and [DialOptions].
const (
	DefaultReadLimit        = 1 << 20
	DefaultHandshakeTimeout = 10 * time.Second
	DefaultPingInterval     = 30 * time.Second
	DefaultPongTimeout      = 15 * time.Second
	DefaultCloseTimeout     = 5 * time.Second
	DefaultMaxStall         = 60 * time.Second
	DefaultMaxBacklog       = 1 << 20
	DefaultMaxQueued        = 1024
	DefaultThreshold        = 128
	DefaultMaxInbox         = 64
	DefaultMaxCallbacks     = 4096
)

// Config configures [New]. It has a Handler, or callbacks.
type Config struct {
	// Handler talks to one peer. The connection is closed with 1000 when it returns, and with 1011 when it panics. It
	// should return when a read or the connection's context says that it is over; one that doesn't is left behind and
	// reported by the server's Shutdown.
	Handler func(*Conn)

	// OnOpen, OnMessage and OnClose are called instead of a Handler: OnOpen first, then OnMessage for each message, in
	// order and one at a time, and OnClose last, once, with the reason for which the connection ended: a [*CloseError],
	// a [*ProtocolError] or one that a stream has. Between them the connection has no goroutine. Each may be nil, but not
	// all of them. Callbacks of different connections run at the same time, on a bounded number of goroutines: the
	// MaxCallbacks of the server, or 4096 without one. One that blocks delays its own connection only; one that panics
	// closes it with 1011.
	//
	// data is the callback's until it returns: what is to be kept is copied.
	OnOpen    func(*Conn)
	OnMessage func(c *Conn, t MessageType, data []byte)
	OnClose   func(c *Conn, reason error)
	// MaxInbox is how many messages may wait for OnMessage, ReadLimit how many bytes of them, or one message. When more
	// come nothing is read until there is room: the peer has to wait. Zero means 64.
	MaxInbox int

	// CheckOrigin decides whether a request may open a connection, in place of the rule of OriginPatterns.
	CheckOrigin func(*http.Request) bool
	// OriginPatterns are hosts that may open connections beside the request's own, as patterns of [path.Match]:
	// "example.com", "*.example.com", "localhost:*". Each is compared with the host of the Origin header, without the
	// default port of its scheme, in lower case. Without a match the origin must be that of the request's Host, or
	// the request has no Origin, as those of programs have none. "null" is never allowed.
	OriginPatterns []string
	// Host is the host that the client asked for, where a proxy in front changes it: what a header says that this
	// proxy sets and that clients can't. Nil means the request's Host.
	Host func(*http.Request) string

	// Subprotocols are those that the server speaks, the one it prefers first. The first that the client offers too is
	// chosen; if there is none, the connection has none.
	Subprotocols []string

	// ReadLimit bounds a message that the peer sends, in bytes, and after decompression. A larger one closes the
	// connection with 1009. Zero means 1 MiB.
	ReadLimit int64
	// HandshakeTimeout bounds how long sending the answer to the handshake may take. Zero means 10 s.
	HandshakeTimeout time.Duration
	// PingInterval is how long a peer may be silent before it is pinged. Zero means 30 s.
	PingInterval time.Duration
	// PongTimeout is how long it may be silent then, while somebody reads, before the connection is cut. Zero means 15 s.
	PongTimeout time.Duration
	// NoKeepalive switches pings off.
	NoKeepalive bool
	// CloseTimeout bounds the closing handshake, from the close frame's turn to be sent until the peer has closed too.
	// Zero means 5 s.
	CloseTimeout time.Duration
	// MaxStall is how long a peer may take nothing of what is sent to it. Zero means 60 s, or the server's MaxStall.
	MaxStall time.Duration
	// MaxBacklog bounds the messages that wait for the connection, in bytes as they are sent; one always has room. Zero
	// means 1 MiB.
	MaxBacklog int
	// MaxQueued bounds their number. Zero means 1024.
	MaxQueued int

	// Compression configures permessage-deflate.
	Compression Compression

	// Logger gets panics of user code. Nil means [slog.Default].
	Logger *slog.Logger
}

// Compression configures permessage-deflate, RFC 7692. The zero value is off.
type Compression struct {
	// Enabled accepts offers of clients, or makes one in [Dial].
	Enabled bool
	// Level is that of package flate, 1 to 9, or -2 for Huffman coding only. Zero means 1, the fastest. It applies to
	// the full window only.
	Level int
	// Threshold is the size in bytes below which messages are sent as they are. Zero means 128.
	Threshold int
	// WindowBits bounds the window that messages are compressed with, as a base-2 logarithm: 8 to 15. A peer may ask for
	// less. Zero means 15.
	WindowBits int
	// Takeover lets messages that are sent refer to earlier ones, if the peer allows it. It costs each connection
	// a window of memory, and prepared messages are sent as they are.
	Takeover bool
	// PeerTakeover lets the peer's messages refer to earlier ones, at the same cost.
	PeerTakeover bool
	// PeerWindowBits asks the peer for a smaller window, which saves memory with PeerTakeover. Zero means 15.
	PeerWindowBits int
}

// server is what a server wants.
func (c Compression) server() wsproto.Deflate {
	return wsproto.Deflate{
		ServerTakeover: c.Takeover, ClientTakeover: c.PeerTakeover, ServerBits: c.WindowBits, ClientBits: c.PeerWindowBits,
	}
}

// client is what a client wants.
func (c Compression) client() wsproto.Deflate {
	return wsproto.Deflate{
		ServerTakeover: c.PeerTakeover, ClientTakeover: c.Takeover, ServerBits: c.PeerWindowBits, ClientBits: c.WindowBits,
	}
}

// settings are what connections of one handler, or of one dial, have in common. They have their defaults.
type settings struct {
	Config
	client bool
	own    exchange.Host // runs callbacks where there is no server
	pace   atomic.Pointer[park.Pace]
}

// settle checks a Config. Mistakes panic: they are the programmer's.
func settle(cfg Config) *settings {
	if err := cfg.fill(); err != nil {
		panic("websocket: New: " + err.Error())
	}
	switch callbacks := cfg.OnOpen != nil || cfg.OnMessage != nil || cfg.OnClose != nil; {
	case cfg.Handler == nil && !callbacks:
		panic("websocket: New: there is no Handler and no callback: nobody would talk to the peer")
	case cfg.Handler != nil && callbacks:
		panic("websocket: New: there are a Handler and callbacks: both would read")
	}
	s := &settings{Config: cfg}
	s.own.MaxCallbacks = DefaultMaxCallbacks
	return s
}

// fill checks what servers and clients have in common and fills its defaults in.
func (c *Config) fill() error {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"ReadLimit", c.ReadLimit},
		{"HandshakeTimeout", int64(c.HandshakeTimeout)},
		{"PingInterval", int64(c.PingInterval)},
		{"PongTimeout", int64(c.PongTimeout)},
		{"CloseTimeout", int64(c.CloseTimeout)},
		{"MaxStall", int64(c.MaxStall)},
		{"MaxInbox", int64(c.MaxInbox)},
		{"MaxBacklog", int64(c.MaxBacklog)},
		{"MaxQueued", int64(c.MaxQueued)},
		{"Compression.Threshold", int64(c.Compression.Threshold)},
	} {
		if f.value < 0 {
			return fmt.Errorf("%s is negative (%d)", f.name, f.value)
		}
	}
	for _, p := range c.OriginPatterns {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("%q in OriginPatterns: %w", p, err)
		}
	}
	for _, p := range c.Subprotocols {
		if list, ok := wsproto.Tokens([]string{p}); !ok || len(list) != 1 {
			return fmt.Errorf("%q in Subprotocols is no token", p)
		}
	}
	z := &c.Compression
	z.Level = cmp.Or(z.Level, wsproto.DefaultLevel)
	z.Threshold = cmp.Or(z.Threshold, DefaultThreshold)
	z.WindowBits = cmp.Or(z.WindowBits, wsproto.MaxWindowBits)
	z.PeerWindowBits = cmp.Or(z.PeerWindowBits, wsproto.MaxWindowBits)
	if z.Level < wsproto.MinLevel || z.Level > wsproto.MaxLevel {
		return fmt.Errorf("Compression.Level is %d: want 1 to 9, or -2", z.Level)
	}
	for _, bits := range []int{z.WindowBits, z.PeerWindowBits} {
		if bits < wsproto.MinWindowBits || bits > wsproto.MaxWindowBits {
			return fmt.Errorf("a window of Compression has %d bits: want 8 to 15", bits)
		}
	}
	c.ReadLimit = cmp.Or(c.ReadLimit, DefaultReadLimit)
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, DefaultHandshakeTimeout)
	c.PingInterval = cmp.Or(c.PingInterval, DefaultPingInterval)
	c.PongTimeout = cmp.Or(c.PongTimeout, DefaultPongTimeout)
	c.CloseTimeout = cmp.Or(c.CloseTimeout, DefaultCloseTimeout)
	c.MaxBacklog = cmp.Or(c.MaxBacklog, DefaultMaxBacklog)
	c.MaxQueued = cmp.Or(c.MaxQueued, DefaultMaxQueued)
	c.MaxInbox = cmp.Or(c.MaxInbox, DefaultMaxInbox)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return nil
}
