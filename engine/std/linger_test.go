package std_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/goceleris/celeris/engine/std"
)

// sockets returns the two ends of a TCP connection.
func sockets(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		s.Close()
	})
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func TestLinger_SavesWhatWasSentLast(t *testing.T) {
	for range 20 {
		client, server := sockets(t)
		if _, err := client.Write(make([]byte, 10_000)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(server, "farewell"); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			std.Linger(server)
			server.Close()
		}()
		if got, err := io.ReadAll(client); string(got) != "farewell" || err != nil {
			t.Fatalf("read %q, %v", got, err)
		}
		client.Close()
		<-done
	}
}

func TestLinger_IsBounded(t *testing.T) {
	client, server := sockets(t)
	go func() { _, _ = client.Write(make([]byte, 1<<20)) }()
	begin := time.Now()
	std.Linger(server)
	if took := time.Since(begin); took > 900*time.Millisecond {
		t.Errorf("read a chatterbox for %v", took)
	}

	_, server = sockets(t)
	begin = time.Now()
	std.Linger(server)
	if took := time.Since(begin); took < 900*time.Millisecond || took > 5*time.Second {
		t.Errorf("waited %v for a silent peer, want about a second", took)
	}
}

func TestLinger_LeavesOtherConnectionsAlone(*testing.T) {
	std.Linger(nil)
	a, b := net.Pipe()
	defer b.Close()
	defer a.Close()
	std.Linger(a) // it would hang
	type wrapped struct{ *net.TCPConn }
	std.Linger(wrapped{}) // it would panic
}
