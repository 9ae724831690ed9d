package websocket_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/goceleris/celeris/internal/wsproto"
)

// hello is an opening handshake.
const hello = "GET /a HTTP/1.1\r\nHost: site\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

const deflateHello = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"

// raw is a peer that sends bytes.
type raw struct {
	t testing.TB
	net.Conn
	br *bufio.Reader
}

// knock sends a handshake and what follows it, and reads the answer.
func knock(t testing.TB, nc net.Conn, head string) (*raw, *http.Response) {
	t.Helper()
	r := &raw{t: t, Conn: nc, br: bufio.NewReader(nc)}
	r.send([]byte(head))
	resp, err := http.ReadResponse(r.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, resp
}

// open opens a connection in memory.
func (s *site) open(t testing.TB, head string) *raw {
	t.Helper()
	nc, err := s.l.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	r, resp := knock(t, nc, head)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %s", resp.Status)
	}
	return r
}

func (r *raw) send(b []byte) {
	r.t.Helper()
	if _, err := r.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

// masked is a frame of a client.
func masked(op wsproto.Opcode, fin bool, payload string) []byte {
	return wsproto.AppendFrame(nil, wsproto.Frame{Opcode: op, Fin: fin, Masked: true, Key: 0x01020304}, []byte(payload))
}

func text(s string) []byte { return masked(wsproto.Text, true, s) }

// frame reads a frame of the server: its first byte in hexadecimal and its payload, or the error.
func (r *raw) frame() string {
	var h [2]byte
	if _, err := io.ReadFull(r.br, h[:]); err != nil {
		return err.Error()
	}
	n := uint64(h[1])
	switch n {
	case 126:
		var b [2]byte
		_, _ = io.ReadFull(r.br, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, _ = io.ReadFull(r.br, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	if n > 64<<20 {
		return fmt.Sprintf("a frame of %d bytes", n)
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(r.br, p); err != nil {
		return err.Error()
	}
	if h[0] == 0x88 && n >= 2 {
		return strings.TrimSpace(fmt.Sprintf("close %d %s", binary.BigEndian.Uint16(p), p[2:]))
	}
	return fmt.Sprintf("%x %s", h[0], p)
}

// want reads a frame and checks it.
func (r *raw) want(want string) {
	r.t.Helper()
	if got := r.frame(); got != want {
		r.t.Fatalf("got %.100q, want %.100q", got, want)
	}
}

// dialRaw opens a connection over a socket.
func dialRaw(t testing.TB, url string) *raw {
	t.Helper()
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "ws://"), "/")
	nc, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	r, resp := knock(t, nc, hello)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %s", resp.Status)
	}
	return r
}

func acceptKey(key string) string { return wsproto.AcceptKey(key) }

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }
