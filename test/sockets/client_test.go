//go:build linux

package sockets

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// window is what a peer of HTTP/2 may have under way on one stream: as little as there can be.
const window = 64 << 10

// stream is a response as its client sees it. It has a connection of its own. It is for one goroutine at a time.
type stream struct {
	conn   *net.TCPConn
	body   io.Reader
	end    func()
	blocks splitter
	queue  []block
	lastID string
}

// ask is how a stream is opened. The zero value works.
type ask struct {
	query  string // with its question mark
	lastID string
	buffer int // SO_RCVBUF; zero leaves it alone
	stray  string
}

// open opens a stream and reads its first block.
func (s *site) open(t testing.TB, a ask) *stream {
	t.Helper()
	c, err := s.dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	if b := c.next(t); b.id == "" || b.data != "" {
		t.Fatalf("the stream begins with %+v", b)
	}
	return c
}

// dial opens a stream.
func (s *site) dial(ctx context.Context, a ask) (*stream, error) {
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if a.buffer == 0 {
			return nil
		}
		return errors.Join(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, a.buffer)
		}), err)
	}}
	c, err := d.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(3 * patience)) // whoever waits for longer has failed
	st := &stream{conn: c.(*net.TCPConn)}
	if s.way.h2 {
		err = st.request2(ctx, s.way, a)
	} else {
		err = st.request1(ctx, s.way, a)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return st, nil
}

// request1 speaks HTTP/1.1 with its own hands.
func (c *stream) request1(ctx context.Context, w way, a ask) error {
	conn := net.Conn(c.conn)
	if w.tls {
		_, pool := certificate()
		t := tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: "example.com", NextProtos: []string{"http/1.1"}})
		if err := t.HandshakeContext(ctx); err != nil {
			return err
		}
		conn = t
	}
	req := "GET /events" + a.query + " HTTP/1.1\r\nHost: example.com\r\nAccept: text/event-stream\r\n"
	if a.lastID != "" {
		req += "Last-Event-ID: " + a.lastID + "\r\n"
	}
	if _, err := io.WriteString(conn, req+"\r\n"+a.stray); err != nil {
		return err
	}
	r := bufio.NewReaderSize(conn, 512)
	for n := 0; ; n++ {
		line, err := r.ReadString('\n')
		switch {
		case err != nil:
			return err
		case n == 0 && !strings.HasPrefix(line, "HTTP/1.1 200 "):
			return fmt.Errorf("the response begins with %q", line)
		case line == "\r\n":
			c.body, c.end = r, func() {}
			return nil
		}
	}
}

// request2 has net/http speak HTTP/2.
func (c *stream) request2(ctx context.Context, w way, a ask) error {
	var used atomic.Bool
	tr := &http.Transport{
		Protocols: new(http.Protocols), DisableCompression: true,
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: window, MaxReceiveBufferPerConnection: 2 * window},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			if used.Swap(true) {
				return nil, errors.New("the connection is used up")
			}
			return c.conn, nil
		},
	}
	scheme := "http"
	if w.tls {
		scheme = "https"
		_, pool := certificate()
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
		tr.Protocols.SetHTTP2(true)
	} else {
		tr.Protocols.SetUnencryptedHTTP2(true)
	}
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://example.com/events"+a.query, http.NoBody)
	if err != nil {
		cancel()
		return err
	}
	if a.lastID != "" {
		req.Header.Set("Last-Event-ID", a.lastID)
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		cancel()
		return err
	}
	c.body, c.end = res.Body, func() {
		cancel()
		res.Body.Close()
		tr.CloseIdleConnections()
	}
	if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
		c.close()
		return fmt.Errorf("the response is %s %s", res.Proto, res.Status)
	}
	return nil
}

// close leaves in the ordinary way.
func (c *stream) close() {
	c.conn.Close()
	c.end()
}

// reset leaves so that the server gets a RST.
func (c *stream) reset() {
	_ = c.conn.SetLinger(0) // fails on a closed connection only
	c.close()
}

// read reads at most n bytes, and queues the blocks that they complete.
func (c *stream) read(n int) (int, error) {
	buf := make([]byte, min(n, 16<<10))
	n, err := c.body.Read(buf)
	c.blocks.feed(buf[:n], func(b block) {
		if b.id != "" {
			c.lastID = b.id
		}
		c.queue = append(c.queue, b)
	})
	return n, err
}

// next waits for a block.
func (c *stream) next(t testing.TB) block {
	t.Helper()
	for len(c.queue) == 0 {
		if _, err := c.read(16 << 10); err != nil && len(c.queue) == 0 {
			t.Fatalf("wait for a block: %v", err)
		}
	}
	b := c.queue[0]
	c.queue = c.queue[1:]
	return b
}

// event waits for the next block that is an event.
func (c *stream) event(t testing.TB) block {
	t.Helper()
	for {
		if b := c.next(t); b.data != "" {
			return b
		}
	}
}

// rest reads to the end of the stream and returns the blocks until there.
func (c *stream) rest() ([]block, error) {
	for {
		if _, err := c.read(16 << 10); err != nil {
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				err = nil
			}
			return c.queue, err
		}
	}
}
