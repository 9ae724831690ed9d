package memnet

import (
	"cmp"
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// DefaultBuffer is how many bytes one direction of a connection holds when nothing else is said.
const DefaultBuffer = 64 << 10

// Listener is a [net.Listener] that is reached with [Listener.Dial]. Its methods may be called by any goroutine.
type Listener struct {
	buffer  int
	pending chan *Conn
	done    chan struct{}
	close   func()
	port    atomic.Int32
}

var _ net.Listener = (*Listener)(nil)

// Listen returns a listener whose connections hold so many bytes in each direction; zero means [DefaultBuffer].
func Listen(buffer int) *Listener {
	l := &Listener{
		buffer: cmp.Or(buffer, DefaultBuffer), pending: make(chan *Conn), done: make(chan struct{}),
	}
	l.close = sync.OnceFunc(func() { close(l.done) })
	return l
}

// Accept waits for a dialer and returns its connection, or [net.ErrClosed] once the listener is closed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.pending:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial. Open connections stay.
func (l *Listener) Close() error {
	l.close()
	return nil
}

// Addr is an address from the block for documentation.
func (l *Listener) Addr() net.Addr { return serverAddr }

var serverAddr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}

// Dial waits until a connection is accepted and returns the dialer's end. The error is [net.ErrClosed] for a closed
// listener, or the cause of an ended ctx.
func (l *Listener) Dial(ctx context.Context) (*Conn, error) {
	up, down := newHalf(l.buffer), newHalf(l.buffer)
	addr := &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: int(l.port.Add(1))}
	server := &Conn{in: up, out: down, local: serverAddr, remote: addr}
	select {
	case l.pending <- server:
		return &Conn{in: down, out: up, local: addr, remote: serverAddr}, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
