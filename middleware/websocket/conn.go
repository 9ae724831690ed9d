package websocket

import (
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
	protocol string
	member   *fanout.Member
	*manned         // nil if a shard has the connection
	in       *input // nil with callbacks
	box      *box   // nil without
	out      output
	life
	ping    pings
	removed atomic.Bool // from its hub, by a policy

	mu      sync.Mutex  // guards what follows, and of manned what says so
	gone    bool        // it is over
	closing *CloseError // what was sent, or is about to be
	values  map[string]any
	hub     *Hub // nil if it has none
}

// manned is what only a connection has that goroutines read from and write to.
type manned struct {
	nc      net.Conn
	pipe    pipe
	flushed chan struct{} // closed when nothing is sent any more
	born    time.Time
	hungUp  sync.Once
	readers sync.WaitGroup // of CloseRead
	heard   atomic.Int64   // when bytes last came, Unix nanoseconds
	early   []byte         // what came behind the handshake, for the box
	waiting atomic.Int64   // since when somebody waits for some; 0 if nobody does

	// Guarded by Conn.mu.
	abort  *time.Timer // cuts a closing handshake that takes too long
	reap   *time.Timer // completes that of a handler that does not read
	beat   *time.Timer // nil without keepalive
	over   bool        // no goroutine reads for it any more
	pinged time.Time   // when a ping was sent that was not answered; zero if there is none
}

// start makes a connection of one whose handshake is complete. early are bytes that came behind it.
func start(cfg *settings, nc net.Conn, req *http.Request, early []byte) *Conn {
	c := &Conn{cfg: cfg, manned: &manned{nc: nc, flushed: make(chan struct{}), born: time.Now()}}
	c.req = req
	p := &c.pipe
	p.nc, p.raw, p.maxStall, p.mask, p.over = nc, newRaw(nc), cfg.MaxStall, cfg.client, c.sent
	c.member = fanout.NewMember(p, owner{c}, cfg.MaxQueued)
	c.member.LimitQueue(cfg.MaxBacklog)
	p.member = c.member
	if cfg.Handler != nil || cfg.client {
		c.in = &input{}
		c.in.init(cfg, early)
	} else {
		c.box, c.early = newBox(c), early
	}
	return c
}

// agree makes the connection compress as was negotiated.
func (c *Conn) agree(d wsproto.Deflate) {
	bits, takeover := d.ServerBits, d.ServerTakeover
	inflater := wsproto.Inflater{Bits: d.ClientBits, Takeover: d.ClientTakeover}
	if c.cfg.client {
		bits, takeover = d.ClientBits, d.ClientTakeover
		inflater = wsproto.Inflater{Bits: d.ServerBits, Takeover: d.ServerTakeover}
	}
	c.out = output{deflate: true, takeover: takeover, bits: uint8(min(bits, c.cfg.Compression.WindowBits))}
	if takeover {
		c.out.context = &deflateContext{}
	}
	if c.box != nil {
		c.box.parser.Deflate, c.box.inflater = true, &inflater
	} else {
		c.in.parser.Deflate, c.in.inflater = true, inflater
	}
	if !c.out.takeover {
		c.member.Takes(c.out.bits)
	}
}

// Param is the part of the path that the route's wildcard of this name matched, unescaped, or "".
func (c *Conn) Param(name string) string { return c.pathValue(name) }

// Header is the first value of a header of the request, or "".
func (c *Conn) Header(name string) string { return c.headerValue(name) }

// Subprotocol is the one that was chosen, or "".
func (c *Conn) Subprotocol() string { return c.protocol }

// Compressed reports whether permessage-deflate was negotiated.
func (c *Conn) Compressed() bool { return c.out.deflate }

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
	return o.closeFrame(tooSlow())
}

// Lost implements [fanout.Owner]: whoever drops a message is told.
func (owner) Lost(int) []byte { return nil }
