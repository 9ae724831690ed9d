package memnet

import (
	"io"
	"net"
	"syscall"
)

// Watch has f called after every change of the connection, in either direction: bytes that came or were read, an end,
// a reset. f must not block and not use the connection. A nil f ends it.
func (c *Conn) Watch(f func()) {
	for _, h := range []*half{c.in, c.out} {
		h.mu.Lock()
		h.watch = f
		h.mu.Unlock()
	}
}

// TryWrite writes what there is room for and does not wait: EAGAIN means that it was not all of p. Other errors are
// those of Write.
func (c *Conn) TryWrite(p []byte) (int, error) {
	h := c.out
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.mute:
		return 0, net.ErrClosed
	case h.broken:
		return 0, syscall.ECONNRESET
	case h.deaf:
		return 0, syscall.EPIPE
	}
	n := min(h.size-len(h.buf), len(p))
	if n > 0 {
		h.buf = append(h.buf, p[:n]...)
		h.notify()
	}
	if n < len(p) {
		return n, syscall.EAGAIN
	}
	return n, nil
}

// TryRead reads what has come and does not wait: EAGAIN means that it was nothing. Other errors are those of Read.
func (c *Conn) TryRead(p []byte) (int, error) {
	h := c.in
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.deaf:
		return 0, net.ErrClosed
	case h.broken:
		return 0, syscall.ECONNRESET
	case len(h.buf) > 0:
		n := copy(p, h.buf)
		h.buf = append(h.buf[:0], h.buf[n:]...)
		h.notify()
		return n, nil
	case h.mute:
		return 0, io.EOF
	}
	return 0, syscall.EAGAIN
}

// Writable reports whether TryWrite would take a byte or fail for good.
func (c *Conn) Writable() bool {
	h := c.out
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mute || h.broken || h.deaf || len(h.buf) < h.size
}

// Readable reports whether TryRead would yield a byte or fail for good.
func (c *Conn) Readable() bool {
	h := c.in
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.deaf || h.broken || h.mute || len(h.buf) > 0
}

// Unacknowledged is how many bytes were written that the other end has not read.
func (c *Conn) Unacknowledged() int {
	h := c.out
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.buf)
}
