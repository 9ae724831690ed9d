//go:build unix

package websocket

import (
	"net"
	"syscall"
)

// raw sends on a socket without waiting for room. One goroutine at a time uses it.
type raw struct {
	conn syscall.RawConn
	p    []byte
	n    int
	err  error
	send func(fd uintptr) bool
}

// newRaw returns nil unless c is a plain TCP or Unix connection.
func newRaw(c net.Conn) *raw {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil
	}
	conn, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	r := &raw{conn: conn}
	r.send = r.try
	return r
}

func (r *raw) try(fd uintptr) bool {
	for {
		r.n, r.err = syscall.Write(int(fd), r.p)
		if r.err != syscall.EINTR { //nolint:errorlint // system calls return it bare
			return true
		}
	}
}

// write sends what there is room for.
func (r *raw) write(p []byte) (int, error) {
	r.p = p
	err := r.conn.Write(r.send)
	r.p = nil
	switch {
	case err != nil:
		return 0, err
	case r.err == syscall.EAGAIN: //nolint:errorlint // system calls return it bare
		return 0, nil
	case r.err != nil:
		return 0, r.err
	}
	return r.n, nil
}
