package websocket_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// h2 is just enough of a client of HTTP/2 for the extended CONNECT, which that of net/http doesn't send.
type h2 struct {
	t    *testing.T
	conn net.Conn
	done chan struct{}

	mu      sync.Mutex // guards writes and streams
	streams map[uint32]*h2stream
	next    uint32
}

// h2stream is one stream: what is read is the body of the response.
type h2stream struct {
	*io.PipeReader
	w       *io.PipeWriter
	c       *h2
	id      uint32
	headers chan []byte // the field block of the response
}

var errReset = errors.New("stream was reset")

func dialH2(t *testing.T, addr string) *h2 {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &h2{t: t, conn: nc, done: make(chan struct{}), streams: make(map[uint32]*h2stream), next: 1}
	if _, err := io.WriteString(nc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	c.frame(4, 0, 0, nil)
	go c.read()
	t.Cleanup(func() {
		nc.Close()
		<-c.done
	})
	return c
}

func (c *h2) frame(kind, flags byte, stream uint32, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(payload)
	b := append([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}, binary.BigEndian.AppendUint32(nil, stream)...)
	_, _ = c.conn.Write(append(b, payload...)) // its reader notices
}

func (c *h2) read() {
	defer close(c.done)
	br := bufio.NewReader(c.conn)
	for {
		var head [9]byte
		if _, err := io.ReadFull(br, head[:]); err != nil {
			c.mu.Lock()
			for _, s := range c.streams {
				_ = s.w.CloseWithError(err)
			}
			c.mu.Unlock()
			return
		}
		p := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(br, p); err != nil {
			continue
		}
		c.mu.Lock()
		s := c.streams[binary.BigEndian.Uint32(head[5:])]
		c.mu.Unlock()
		switch ack := head[4]&1 != 0; {
		case head[3] == 4 && !ack:
			c.frame(4, 1, 0, nil)
		case head[3] == 6 && !ack:
			c.frame(6, 1, 0, p)
		case s == nil:
		case head[3] == 1:
			s.headers <- p
		case head[3] == 0:
			_, _ = s.w.Write(p)
			if ack { // END_STREAM has the same bit
				_ = s.w.Close()
			}
		case head[3] == 3:
			_ = s.w.CloseWithError(errReset)
		}
	}
}

// field is a header field, literal and without indexing, RFC 7541 6.2.2.
func field(b []byte, name, value string) []byte {
	b = append(b, 0, byte(len(name)))
	b = append(b, name...)
	b = append(b, byte(len(value)))
	return append(b, value...)
}

// connect opens a stream, and reports whether it was accepted.
func (c *h2) connect(path string, fields ...string) (*h2stream, bool) {
	var b []byte
	for _, f := range [][2]string{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":path", path}, {":authority", "site"}, {"sec-websocket-version", "13"}} {
		b = field(b, f[0], f[1])
	}
	for i := 0; i < len(fields); i += 2 {
		b = field(b, fields[i], fields[i+1])
	}
	s := &h2stream{c: c, headers: make(chan []byte, 2)}
	s.PipeReader, s.w = io.Pipe()
	c.mu.Lock()
	s.id = c.next
	c.next += 2
	c.streams[s.id] = s
	c.mu.Unlock()
	c.frame(1, 4, s.id, b)
	select {
	case block := <-s.headers:
		if block[0] != 0x88 { // ":status: 200" of the static table
			_ = s.Close()
			return s, false
		}
		return s, true
	case <-c.done:
		return s, false
	}
}

func (s *h2stream) Write(p []byte) (int, error) {
	s.c.frame(0, 0, s.id, p)
	return len(p), nil
}

// reset ends the stream with CANCEL.
func (s *h2stream) reset() { s.c.frame(3, 0, s.id, []byte{0, 0, 0, 8}) }
