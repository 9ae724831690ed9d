package websocket

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/wsproto"
)

// MessageType says what a message is.
type MessageType int

// Types of messages, RFC 6455 5.6.
const (
	TextMessage   = MessageType(wsproto.Text)   // UTF-8
	BinaryMessage = MessageType(wsproto.Binary) // any bytes
)

// String is "text" or "binary".
func (t MessageType) String() string {
	switch t {
	case TextMessage:
		return "text"
	case BinaryMessage:
		return "binary"
	}
	return "invalid"
}

// Conn is one open connection, of a server or of [Dial]. All methods may be called by any number of goroutines, at any
// time, also after the end; a Conn is never used for another connection.
//
// Reads take turns. Writes never interleave: a message is one frame, and waits for no peer. Pings are answered, and
// close frames noticed, while somebody reads.
type Conn struct {
	cfg      *settings
	req      *http.Request
	protocol string
	nc       net.Conn
	member   *fanout.Member
	pipe     *pipe
	in       input
	out      output
	ping     pings
	ctx      context.Context
	cancel   context.CancelCauseFunc
	flushed  chan struct{} // closed when nothing is sent any more
	born     time.Time
	hungUp   sync.Once
	readers  sync.WaitGroup // of CloseRead

	heard   atomic.Int64 // when bytes last came, Unix nanoseconds
	waiting atomic.Int64 // since when somebody waits for some; 0 if nobody does

	mu      sync.Mutex  // guards what follows
	closing *CloseError // what was sent, or is about to be
	abort   *time.Timer // cuts a closing handshake that takes too long
	reap    *time.Timer // completes that of a handler that does not read
	beat    *time.Timer // nil without keepalive
	over    bool        // no goroutine reads for it any more
	pinged  time.Time   // when a ping was sent that was not answered; zero if there is none
	values  map[string]any
}

// start makes a connection of one whose handshake is complete. early are bytes that came behind it.
func start(cfg *settings, nc net.Conn, req *http.Request, early []byte) *Conn {
	c := &Conn{cfg: cfg, req: req, nc: nc, flushed: make(chan struct{}), born: time.Now()}
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(req.Context()))
	c.pipe = &pipe{nc: nc, raw: newRaw(nc), maxStall: cfg.MaxStall, mask: cfg.client, over: c.sent}
	c.member = fanout.NewMember(c.pipe, owner{c}, cfg.MaxQueued)
	c.member.LimitQueue(cfg.MaxBacklog)
	c.pipe.member = c.member
	c.in.init(cfg, early)
	return c
}

// agree makes the connection compress as was negotiated.
func (c *Conn) agree(d wsproto.Deflate) {
	c.in.parser.Deflate, c.out.deflate = true, true
	c.out.bits, c.out.takeover = d.ServerBits, d.ServerTakeover
	c.in.inflater = wsproto.Inflater{Bits: d.ClientBits, Takeover: d.ClientTakeover}
	if c.cfg.client {
		c.out.bits, c.out.takeover = d.ClientBits, d.ClientTakeover
		c.in.inflater = wsproto.Inflater{Bits: d.ServerBits, Takeover: d.ServerTakeover}
	}
	c.out.bits = min(c.out.bits, c.cfg.Compression.WindowBits)
}

// Request is the request that the connection began with; its body is over. Its context is [Conn.Context].
func (c *Conn) Request() *http.Request { return c.req.WithContext(c.ctx) }

// Param is the part of the path that the route's wildcard of this name matched, unescaped, or "".
func (c *Conn) Param(name string) string { return c.req.PathValue(name) }

// Header is the first value of a header of the request, or "".
func (c *Conn) Header(name string) string { return c.req.Header.Get(name) }

// RemoteAddr is the network address of the peer.
func (c *Conn) RemoteAddr() string { return c.req.RemoteAddr }

// Subprotocol is the one that was chosen, or "".
func (c *Conn) Subprotocol() string { return c.protocol }

// Compressed reports whether permessage-deflate was negotiated.
func (c *Conn) Compressed() bool { return c.out.deflate }

// Context has the values of the request's context and ends when nothing can be read any more: when the peer has closed
// or is gone, or the connection was cut. [context.Cause] then tells why.
func (c *Conn) Context() context.Context { return c.ctx }

// Set keeps a value for this connection.
func (c *Conn) Set(key string, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values == nil {
		c.values = make(map[string]any)
	}
	c.values[key] = value
}

// Get returns what Set kept, and whether there is something.
func (c *Conn) Get(key string) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.values[key]
	return v, ok
}

// owner is the connection as its member sees it.
type owner struct{ *Conn }

var _ fanout.Owner = owner{}

// Farewell implements [fanout.Owner].
func (o owner) Farewell(error) []byte {
	e := &CloseError{Code: StatusTryAgainLater, Reason: "too slow", Local: true}
	o.begin(e)
	return o.closeFrame(e)
}

// Lost implements [fanout.Owner]: whoever drops a message is told.
func (owner) Lost(int) []byte { return nil }
