package native

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goceleris/celeris/engine/internal/shard"
	"github.com/goceleris/celeris/internal/tlsgate"
)

const (
	// sendBuffer bounds what the kernel keeps for a peer that doesn't read; it doubles the figure for its own use.
	sendBuffer = 64 << 10
	// receiveBuffer is small where whatever comes is thrown away at once.
	receiveBuffer = 8 << 10
	// unsent is how much may wait in the kernel before a connection refuses more: what has been handed over can't be
	// taken back.
	unsent = 16 << 10
	// userTimeoutMargin is added to MaxStall for peers that acknowledge nothing at all. A timeout below MaxStall would
	// end peers that are there and have their window closed.
	userTimeoutMargin = 5 * time.Second
	// discardAtOnce bounds what one call of Discard reads.
	discardAtOnce = 128 << 10
)

// Conn is a descriptor that one shard owns.
type Conn struct {
	poller *Poller
	fd     int
	keep   net.Conn // whose descriptor it is; nil if it is our own
	tls    *secure  // nil if what is sent is what was asked for

	// For the shard's goroutine.
	owner   *shard.Stream
	index   int32
	armed   bool
	watched bool
	dry     bool // the last read took all there was, and nothing was told since
	leaving bool // the peer's end was told: it may stand behind what a read takes
}

var _ shard.Conn = (*Conn)(nil)

// parks reports whether c is a connection that can be taken over: nothing but a bare socket, or TLS on one behind a gate.
// What embeds one may change what is written to it.
func parks(c net.Conn) bool {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	_, g := tlsgate.Of(c)
	return g != nil
}

// take makes c's socket the process's own. Without a descriptor to spare c is kept and its own one used. early is what the
// peer has sent and TLS has read.
func take(c net.Conn, maxStall time.Duration, buffer int, listens bool) (_ *Conn, early []byte, err error) {
	conn := &Conn{fd: -1}
	if t, g := tlsgate.Of(c); g != nil {
		conn.tls, c, early = intercept(t, g)
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, nil, fmt.Errorf("native: take a connection over: %w", err)
	}
	err = raw.Control(func(fd uintptr) {
		if own, dupErr := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); dupErr == nil {
			conn.fd = own
		} else {
			conn.fd, conn.keep = int(fd), c
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("native: take a connection over: %w", err)
	}
	if conn.keep == nil {
		_ = c.Close() // the socket lives on in our descriptor
	}
	conn.tune(maxStall, buffer, listens)
	return conn, early, nil
}

// Bare returns a connection that is nothing but a descriptor, for tests of what sends. Close closes it.
func Bare(fd int) *Conn { return &Conn{fd: fd} }

// tune sets what a stream wants of its socket. All of it is a wish: a kernel that refuses one serves without.
func (c *Conn) tune(maxStall time.Duration, buffer int, listens bool) {
	locked, _ := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_BUF_LOCK) // since Linux 5.14
	if locked&unix.SOCK_SNDBUF_LOCK == 0 {                                   // else the program has said what it wants
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, buffer)
	}
	if locked&unix.SOCK_RCVBUF_LOCK == 0 && !listens {
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
	if maxStall > 0 {
		_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, userTimeout(maxStall))
	}
}

// userTimeout is TCP_USER_TIMEOUT in milliseconds, of which the kernel takes 31 bits.
func userTimeout(maxStall time.Duration) int {
	return int(min(maxStall.Milliseconds()+userTimeoutMargin.Milliseconds(), math.MaxInt32))
}

// FD is the descriptor, for who sends.
func (c *Conn) FD() int { return c.fd }

// Attach implements [shard.Conn].
func (c *Conn) Attach(s *shard.Stream) bool {
	c.owner = s
	if err := c.poller.add(c); err != nil {
		c.poller.log.LogAttrs(context.Background(), slog.LevelError, "stream refused", slog.Any("error", err))
		return false
	}
	c.watched = true
	return true
}

// Arm implements [shard.Conn]. Room that has come since the refusal is an edge that is still to be told.
func (c *Conn) Arm() { c.armed = true }

// Queued implements [shard.Conn].
func (c *Conn) Queued() int {
	n, err := unix.IoctlGetInt(c.fd, unix.SIOCOUTQ)
	if err != nil || n == 0 {
		return 0 // whatever is kept here, nothing will tell of room for it
	}
	if c.tls != nil {
		n += len(c.tls.rest)
	}
	return n
}

// CloseWrite implements [shard.Conn].
func (c *Conn) CloseWrite() {
	if c.tls != nil {
		c.part()
	}
	_ = unix.Shutdown(c.fd, unix.SHUT_WR) // if it fails the peer is gone
}

// Read implements [shard.Conn]. What comes behind a read that did not fill its buffer is told as an edge, so that the call
// is spared which would say that there is nothing more.
func (c *Conn) Read() (p []byte, over bool) {
	for {
		if c.dry {
			c.dry = false
			return nil, false
		}
		if c.tls != nil && c.tls.over {
			return nil, true
		}
		n, err := unix.Read(c.fd, c.poller.scratch[:])
		switch {
		case err == unix.EAGAIN:
			return nil, false
		case err == unix.EINTR:
			continue
		case err != nil || n == 0:
			return nil, true
		}
		c.dry = n < len(c.poller.scratch) && !c.leaving
		p = c.poller.scratch[:n]
		if c.tls != nil {
			p, c.tls.over = c.open(p)
			c.dry = c.dry && !c.tls.over
		}
		if len(p) > 0 {
			return p, false
		}
	}
}

// Discard implements [shard.Conn].
func (c *Conn) Discard() (n int, over bool) {
	for n < discardAtOnce {
		p, over := c.Read()
		if n += len(p); over || len(p) == 0 {
			return n, over
		}
	}
	return n, false
}

// Close implements [shard.Conn].
func (c *Conn) Close() {
	if c.watched {
		c.poller.drop(c)
	}
	if c.keep != nil {
		_ = c.keep.Close()
		return
	}
	_ = unix.Close(c.fd)
}
