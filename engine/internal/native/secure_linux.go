package native

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/goceleris/celeris/engine/internal/shard"
	"github.com/goceleris/celeris/internal/tlsgate"
)

// piece is how many bytes are encrypted before the connection is asked whether it takes them: what it doesn't take has to
// be kept.
const piece = 16 << 10

// maxRest is room for a piece in records, and for as much that TLS has said.
const maxRest = 2 * piece

// secure is the half of a connection that speaks TLS. It is for the shard's goroutine.
type secure struct {
	conn *tls.Conn
	gate *tlsgate.Gate
	rest []byte // encrypted, and not sent yet
	over bool   // the peer said that it will send no more
}

// seal returns p encrypted. The bytes are valid until the poller seals again.
func (s *secure) seal(p *Poller, plain []byte) ([]byte, error) {
	s.gate.Out = p.sealed[:0]
	_, err := s.conn.Write(plain)
	return s.out(p), err
}

// out takes what TLS has to say.
func (s *secure) out(p *Poller) []byte {
	out := s.gate.Out
	s.gate.Out, p.sealed = nil, out[:0]
	return out
}

// push sends encrypted bytes, or keeps them.
func (c *Conn) push(b []byte) error {
	for len(b) > 0 {
		n, errno := sendto(c.fd, b)
		switch errno {
		case 0:
			b = b[n:]
		case unix.EINTR:
		case unix.EAGAIN, unix.ENOBUFS:
			c.tls.rest = bytes.Clone(b)
			return shard.ErrRefused
		default:
			return errno
		}
	}
	return nil
}

// flush sends what was encrypted before.
func (c *Conn) flush() error {
	b := c.tls.rest
	if len(b) == 0 {
		return nil
	}
	c.tls.rest = nil
	return c.push(b)
}

// errUnheard means that the peer asks for answers and doesn't read them.
var errUnheard = errors.New("native: the peer reads no answers")

// say sends what TLS has to say by itself, behind what was encrypted before. What the peer does not take is kept, within
// bounds: every record of its own may ask for an answer.
func (c *Conn) say(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	switch err := c.flush(); {
	case err == nil:
		return c.push(b)
	case !errors.Is(err, shard.ErrRefused):
		return err
	case len(c.tls.rest)+len(b) > maxRest:
		return errUnheard
	}
	c.tls.rest = append(c.tls.rest, b...)
	return shard.ErrRefused
}

// offer is a send on a connection that speaks TLS.
func (c *Conn) offer(op *shard.Op) {
	if op.Err = c.flush(); op.Err != nil {
		return
	}
	for bufs := op.Bufs; len(bufs) > 0; {
		var plain []byte
		plain, bufs = c.poller.join(bufs)
		for len(plain) > 0 {
			n := min(piece, len(plain))
			out, err := c.tls.seal(c.poller, plain[:n])
			if err != nil {
				op.Err = err
				return
			}
			plain = plain[n:]
			op.N += n // they count as taken: they can't be encrypted again
			if op.Err = c.push(out); op.Err != nil {
				return
			}
		}
	}
}

// join returns the first of bufs, or as many of them as fit into one piece, and what is left. The bytes are valid until the
// poller joins again.
func (p *Poller) join(bufs [][]byte) (joined []byte, left [][]byte) {
	if len(bufs) == 1 || len(bufs[0])+len(bufs[1]) > piece {
		return bufs[0], bufs[1:]
	}
	joined = p.plain[:0]
	for len(bufs) > 0 && len(joined)+len(bufs[0]) <= piece {
		joined, bufs = append(joined, bufs[0]...), bufs[1:]
	}
	p.plain = joined[:0]
	return joined, bufs
}

// open takes what the peer has sent out of its records, and reports whether it will send no more. What TLS answers to some
// of them is sent.
func (c *Conn) open(sealed []byte) (plain []byte, over bool) {
	s, p := c.tls, c.poller
	s.gate.In, s.gate.Out = sealed, p.sealed[:0]
	plain = slices.Grow(p.opened[:0], len(sealed))
	for !over {
		plain = slices.Grow(plain, 1)
		n, err := s.conn.Read(plain[len(plain):cap(plain)])
		plain = plain[:len(plain)+n]
		if errors.Is(err, tlsgate.ErrDry) {
			break
		}
		over = err != nil
	}
	p.opened = plain
	err := c.say(s.out(p)) // if sending fails the connection will tell
	return plain, over || errors.Is(err, errUnheard)
}

// part says that nothing more will be sent.
func (c *Conn) part() {
	s, p := c.tls, c.poller
	s.gate.Out = p.sealed[:0]
	_ = s.conn.CloseWrite() // it can't fail: it writes into the gate
	_ = c.say(s.out(p))     // as the end of a connection is, this is a courtesy
}

// intercept makes c's records the process's own business, and returns the connection below it and what was in records that
// TLS has read already.
func intercept(c *tls.Conn, g *tlsgate.Gate) (s *secure, below net.Conn, early []byte) {
	below = g.Shut()
	early, err := io.ReadAll(c)
	// What it has answered to them goes out with what is sent first.
	return &secure{conn: c, gate: g, rest: g.Out, over: !errors.Is(err, tlsgate.ErrDry)}, below, early
}
