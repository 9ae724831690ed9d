// Package sim is the stream engine of tests: the shard logic of the native engines over in-memory connections. Inside a
// testing/synctest bubble its time is the bubble's.
package sim

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/internal/shard"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/internal/park"
)

// Engine parks streams on one shard. Its methods may be called from any goroutine.
type Engine struct {
	backend *backend
	shard   *shard.Shard
}

var _ park.Engine = (*Engine)(nil)

// New returns an engine that runs one goroutine until Close.
func New() *Engine {
	b := &backend{wakes: make(chan struct{}, 1)}
	return &Engine{backend: b, shard: shard.New(b)}
}

// Name is "sim".
func (*Engine) Name() string { return "sim" }

// Parks reports whether c is a connection of package memnet.
func (e *Engine) Parks(c net.Conn) bool {
	_, ok := c.(*memnet.Conn)
	return ok
}

// Park implements [park.Engine].
func (e *Engine) Park(c net.Conn, m *fanout.Member, p park.Parking) park.Driver {
	return e.shard.Park(&conn{backend: e.backend, net: c.(*memnet.Conn)}, m, p)
}

// Stats are counters and gauges of the moment.
func (e *Engine) Stats() engine.Stats {
	s := e.shard.Stats()
	s.Shards = 1
	return s
}

// Close cuts what is left and returns when the shard has ended.
func (e *Engine) Close() { e.shard.Close() }

// backend implements [shard.Backend].
type backend struct {
	wakes   chan struct{}
	scratch [4 << 10]byte // what peers send; for the shard's goroutine

	mu      sync.Mutex // guards changed and conn.changed
	changed []*conn
}

// Wake implements [shard.Backend].
func (b *backend) Wake() {
	select {
	case b.wakes <- struct{}{}:
	default:
	}
}

// Send implements [shard.Backend].
func (b *backend) Send(ops []shard.Op) {
	for i := range ops {
		op := &ops[i]
		for _, p := range op.Bufs {
			n, err := op.Conn.(*conn).net.TryWrite(p)
			op.N += n
			if errors.Is(err, syscall.EAGAIN) {
				err = shard.ErrRefused
			}
			if op.Err = err; err != nil {
				break
			}
		}
	}
}

// Wait implements [shard.Backend].
func (b *backend) Wait(events []shard.Event, until time.Time) []shard.Event {
	n := len(events)
	if events = b.take(events); len(events) > n {
		return events
	}
	left := time.Until(until)
	if left <= 0 {
		return events
	}
	limit := time.NewTimer(left)
	defer limit.Stop()
	select {
	case <-b.wakes:
	case <-limit.C:
	}
	return b.take(events)
}

func (b *backend) take(events []shard.Event) []shard.Event {
	b.mu.Lock()
	list := b.changed
	b.changed = nil
	for _, c := range list {
		c.changed = false
	}
	b.mu.Unlock()
	for _, c := range list {
		if c.closed {
			continue
		}
		e := shard.Event{Stream: c.owner, Readable: c.net.Readable(), Writable: c.armed && c.net.Writable()}
		if e.Writable {
			c.armed = false
		}
		if e.Readable || e.Writable {
			events = append(events, e)
		}
	}
	return events
}

// conn implements [shard.Conn].
type conn struct {
	backend *backend
	net     *memnet.Conn
	changed bool // in backend.changed

	// For the shard's goroutine.
	owner  *shard.Stream
	armed  bool
	closed bool
}

// Attach implements [shard.Conn].
func (c *conn) Attach(s *shard.Stream) bool {
	c.owner = s
	c.net.Watch(c.touch)
	c.touch()
	return true
}

// touch has the shard look at the connection.
func (c *conn) touch() {
	c.backend.mu.Lock()
	if !c.changed {
		c.changed = true
		c.backend.changed = append(c.backend.changed, c)
	}
	c.backend.mu.Unlock()
	c.backend.Wake()
}

// Arm implements [shard.Conn].
func (c *conn) Arm() {
	c.armed = true
	if c.net.Writable() {
		c.touch()
	}
}

// Queued implements [shard.Conn].
func (c *conn) Queued() int { return c.net.Unacknowledged() }

// CloseWrite implements [shard.Conn].
func (c *conn) CloseWrite() { _ = c.net.CloseWrite() } // it cannot fail

// Read implements [shard.Conn].
func (c *conn) Read() (p []byte, over bool) {
	n, err := c.net.TryRead(c.backend.scratch[:])
	return c.backend.scratch[:n], err != nil && !errors.Is(err, syscall.EAGAIN)
}

// Discard implements [shard.Conn].
func (c *conn) Discard() (n int, over bool) {
	var buf [4096]byte
	for {
		k, err := c.net.TryRead(buf[:])
		n += k
		if err != nil {
			return n, !errors.Is(err, syscall.EAGAIN)
		}
	}
}

// Close implements [shard.Conn].
func (c *conn) Close() {
	c.net.Watch(nil)
	_ = c.net.Close() // it cannot fail
	c.closed = true
}
