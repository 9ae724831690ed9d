package chaos

import (
	"errors"
	"net"
	"sync/atomic"
)

var errCut = errors.New("chaos: connection was cut")

// cutConn breaks after so many bytes have been read from it.
type cutConn struct {
	*net.TCPConn
	left  int  // for the reader only
	reset bool // with a reset, not in order
	cuts  *atomic.Int64
}

// Read implements [net.Conn].
func (c *cutConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		if c.reset {
			_ = c.SetLinger(0) // a connection that is gone has been cut already
		}
		_ = c.TCPConn.Close()
		c.cuts.Add(1)
		return 0, errCut
	}
	n, err := c.TCPConn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
