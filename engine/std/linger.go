package std

import (
	"net"
	"time"
)

const (
	lingerFor   = time.Second
	lingerBytes = 64 << 10
)

// Linger closes the sending side of a connection and reads what the peer still sends, for a second or 64 KiB, until
// it closes too: unread input would turn the close into a reset that destroys what was sent last. Other
// connections than plain TCP and Unix ones are left alone.
func Linger(c net.Conn) {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return // closed already
	}
	if err := c.SetReadDeadline(time.Now().Add(lingerFor)); err != nil {
		return
	}
	var buf [1024]byte
	for n := 0; n < lingerBytes; {
		k, err := c.Read(buf[:])
		if err != nil {
			return
		}
		n += k
	}
}
