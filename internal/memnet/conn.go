package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Conn is one end of a connection. Its methods may be called by any goroutine.
type Conn struct {
	in, out       *half
	local, remote net.Addr
}

var _ net.Conn = (*Conn)(nil)

// Read implements [net.Conn]. It fails with [os.ErrDeadlineExceeded], with ECONNRESET after a reset and with
// [net.ErrClosed] after Close.
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write implements [net.Conn]: it waits until the buffer has taken all of p. It fails with [os.ErrDeadlineExceeded],
// with EPIPE when the other end is closed, with ECONNRESET after a reset and with [net.ErrClosed] after Close or
// CloseWrite.
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close ends both directions: the other end reads what was written, then EOF, and can't write any more.
func (c *Conn) Close() error {
	c.in.set(func(h *half) { h.deaf, h.buf = true, nil })
	return c.CloseWrite()
}

// CloseWrite ends the direction from here: the other end reads what was written, then EOF.
func (c *Conn) CloseWrite() error {
	c.out.set(func(h *half) { h.mute = true })
	return nil
}

// Reset breaks the connection: what is under way is lost, and both ends get ECONNRESET.
func (c *Conn) Reset() {
	for _, h := range []*half{c.in, c.out} {
		h.set(func(h *half) { h.broken, h.buf = true, nil })
	}
}

// Hold makes Read wait, whatever has arrived, until Release: a reader that stands still.
func (c *Conn) Hold() { c.in.set(func(h *half) { h.held = true }) }

// Release ends Hold.
func (c *Conn) Release() { c.in.set(func(h *half) { h.held = false }) }

// Unread is how many bytes have arrived that were not read.
func (c *Conn) Unread() int {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return len(c.in.buf)
}

// LocalAddr implements [net.Conn].
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements [net.Conn].
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements [net.Conn]. It also applies to a Read that is waiting.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.set(func(h *half) { h.readBy.set(h, t) })
	return nil
}

// SetWriteDeadline implements [net.Conn]. It also applies to a Write that is waiting.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.set(func(h *half) { h.writeBy.set(h, t) })
	return nil
}

// half is one direction of a connection.
type half struct {
	size int

	mu      sync.Mutex // guards what follows
	changed sync.Cond
	buf     []byte
	held    bool // the reader stands still
	mute    bool // nothing more will be written
	deaf    bool // nothing more will be read
	broken  bool
	readBy  deadline
	writeBy deadline
	watch   func() // see Conn.Watch
}

func newHalf(size int) *half {
	h := &half{size: size}
	h.changed.L = &h.mu
	return h
}

func (h *half) set(f func(*half)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
	h.notify()
}

// notify is called with the lock held after every change.
func (h *half) notify() {
	h.changed.Broadcast()
	if h.watch != nil {
		h.watch()
	}
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.deaf:
			return 0, net.ErrClosed
		case h.broken:
			return 0, syscall.ECONNRESET
		case h.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case h.held:
		case len(h.buf) > 0:
			n := copy(p, h.buf)
			h.buf = append(h.buf[:0], h.buf[n:]...)
			h.notify()
			return n, nil
		case h.mute:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.mute:
			return n, net.ErrClosed
		case h.broken:
			return n, syscall.ECONNRESET
		case h.deaf:
			return n, syscall.EPIPE
		case h.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		case len(p) == n:
			return n, nil
		}
		if room := min(h.size-len(h.buf), len(p)-n); room > 0 {
			h.buf = append(h.buf, p[n:n+room]...)
			n += room
			h.notify()
			continue
		}
		h.changed.Wait()
	}
}

// deadline is a time from which on an operation fails.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

// set is called with the half's lock held.
func (d *deadline) set(h *half, t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, func() { h.set(func(*half) {}) })
	}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
