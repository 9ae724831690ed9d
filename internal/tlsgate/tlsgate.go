// Package tlsgate lets a [tls.Conn] be driven by bytes instead of by a socket, so that whoever owns the socket needs no
// goroutine that waits in it.
//
// A listener's connections are wrapped below TLS. Handshake and requests go through the wrapper as if it weren't there;
// when it is shut, the connection below is left alone from then on: TLS gets what [Gate.In] holds and leaves what it has to
// say in [Gate.Out].
package tlsgate

import (
	"crypto/tls"
	"net"
	"time"
)

// Gate is a connection below TLS. Until it is shut, any number of goroutines may use it as they may the one below; after
// that one goroutine at a time.
type Gate struct {
	net.Conn // nil when it is shut
	In, Out  []byte
}

// Listener wraps the connections of a listener that are bare sockets.
type Listener struct{ net.Listener }

// Accept implements [net.Listener].
func (l Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
		return &Gate{Conn: c}, nil
	}
	return c, nil
}

// Of returns the gate right below c, if there is one that is open and c speaks TLS by now.
func Of(c net.Conn) (*tls.Conn, *Gate) {
	if t, ok := c.(*tls.Conn); ok {
		if g, ok := t.NetConn().(*Gate); ok && g.Conn != nil && t.ConnectionState().HandshakeComplete {
			return t, g
		}
	}
	return nil, nil
}

// Shut parts the gate from the connection below, which nobody may be using, and returns that.
func (g *Gate) Shut() net.Conn {
	c := g.Conn
	g.Conn = nil
	return c
}

// Read implements [net.Conn]. A shut gate answers [ErrDry] when In is used up.
func (g *Gate) Read(p []byte) (int, error) {
	if g.Conn != nil {
		return g.Conn.Read(p)
	}
	if len(g.In) == 0 {
		return 0, ErrDry
	}
	n := copy(p, g.In)
	g.In = g.In[n:]
	return n, nil
}

// Write implements [net.Conn].
func (g *Gate) Write(p []byte) (int, error) {
	if g.Conn != nil {
		return g.Conn.Write(p)
	}
	g.Out = append(g.Out, p...)
	return len(p), nil
}

// Close implements [net.Conn]. It does nothing to a shut gate, and so do the deadlines.
func (g *Gate) Close() error {
	if g.Conn != nil {
		return g.Conn.Close()
	}
	return nil
}

// SetDeadline implements [net.Conn].
func (g *Gate) SetDeadline(t time.Time) error {
	if g.Conn != nil {
		return g.Conn.SetDeadline(t)
	}
	return nil
}

// SetReadDeadline implements [net.Conn].
func (g *Gate) SetReadDeadline(t time.Time) error {
	if g.Conn != nil {
		return g.Conn.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline implements [net.Conn].
func (g *Gate) SetWriteDeadline(t time.Time) error {
	if g.Conn != nil {
		return g.Conn.SetWriteDeadline(t)
	}
	return nil
}

// ErrDry means that there is nothing to read for now. It is temporary, which is how TLS knows that it may go on later.
var ErrDry net.Error = dry{}

type dry struct{}

func (dry) Error() string   { return "tlsgate: nothing to read" }
func (dry) Timeout() bool   { return true }
func (dry) Temporary() bool { return true }
