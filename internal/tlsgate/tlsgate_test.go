package tlsgate_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/goceleris/celeris/internal/tlsgate"
)

func TestGate_IsOpenUntilItIsShut(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	g := &tlsgate.Gate{Conn: here}
	go func() { _, _ = there.Write([]byte("through")) }()
	p := make([]byte, 16)
	if n, err := g.Read(p); string(p[:n]) != "through" || err != nil {
		t.Fatalf("open: %q, %v", p[:n], err)
	}
	if g.Shut() != here {
		t.Fatal("Shut returned another connection")
	}
	if _, err := g.Read(p); !errors.Is(err, tlsgate.ErrDry) || !tlsgate.ErrDry.Timeout() {
		t.Errorf("shut and dry: %v", err)
	}
	g.In = []byte("given")
	if n, err := g.Read(p[:3]); string(p[:n]) != "giv" || err != nil {
		t.Errorf("shut: %q, %v", p[:n], err)
	}
	for _, s := range []string{"to ", "say"} {
		if n, err := g.Write([]byte(s)); n != len(s) || err != nil {
			t.Errorf("Write = %d, %v", n, err)
		}
	}
	if string(g.Out) != "to say" || string(g.In) != "en" {
		t.Errorf("out %q, in %q", g.Out, g.In)
	}
	if err := errors.Join(g.SetDeadline(time.Now()), g.SetReadDeadline(time.Now()), g.SetWriteDeadline(time.Now()), g.Close()); err != nil {
		t.Error(err)
	}
	if err := here.SetDeadline(time.Time{}); err != nil {
		t.Errorf("the connection below was closed: %v", err)
	}
}

type embedding struct{ net.Conn }

type one struct {
	net.Listener
	c net.Conn
}

func (l one) Accept() (net.Conn, error) { return l.c, nil }

func TestListener_WrapsBareSocketsOnly(t *testing.T) {
	for _, c := range []net.Conn{&net.TCPConn{}, &net.UnixConn{}} {
		got, err := tlsgate.Listener{Listener: one{c: c}}.Accept()
		if g, ok := got.(*tlsgate.Gate); !ok || err != nil || g.Conn != c {
			t.Errorf("%T came as %T, %v", c, got, err)
		}
	}
	other := embedding{&net.TCPConn{}}
	if got, err := (tlsgate.Listener{Listener: one{c: other}}).Accept(); got != net.Conn(other) || err != nil {
		t.Errorf("%T came as %T, %v", other, got, err)
	}
}
