//go:build linux

package loadgen_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/goceleris/celeris/test/loadgen"
)

func TestMain(m *testing.M) {
	if os.Getenv("LOADGEN") != "" {
		if err := loadgen.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func start(t *testing.T) *loadgen.Fleet {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LOADGEN=1")
	cmd.Stderr = os.Stderr
	f, err := loadgen.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return f
}

// answering accepts streams and yields their connections when they have got head.
func answering(t *testing.T, head string) (addr string, conns <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted, done := make(chan net.Conn, 1000), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil || r.URL.Path != "/events" || r.Header.Get("Accept") != "text/event-stream" {
				t.Errorf("got request %v, %v", r, err)
			}
			_, _ = io.WriteString(c, head) // the client tells what it lacks
			accepted <- c
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		close(accepted)
		for c := range accepted {
			c.Close()
		}
	})
	return l.Addr().String(), accepted
}

const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 3000\nid: e-0\n\n"

func send(t *testing.T, c net.Conn, pieces ...string) {
	t.Helper()
	for _, p := range pieces {
		if _, err := io.WriteString(c, p); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFleet_CountsEventsOfEachStream(t *testing.T) {
	addr, conns := answering(t, head)
	f := start(t)
	const n = 300 // more than are dialed at once
	g, err := f.Connect(addr, "/events", n)
	if err != nil {
		t.Fatal(err)
	}
	other, err := f.Connect(addr, "/events", 1)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		c := <-conns
		defer c.Close()
		send(t, c, "id: e-1\nevent: data: no\nda", "ta: one\n\n: data:\n\n", "id: e-2\ndata:\n\n")
	}
	if err := f.Await(g, 2); err != nil {
		t.Error(err)
	}
	if err := f.Await(other, 0); err != nil {
		t.Error(err)
	}
	c := <-conns
	defer c.Close()
	send(t, c, "data: "+strings.Repeat("long ", 100_000)+"\n\n")
	if err := f.Await(other, 1); err != nil {
		t.Error(err)
	}
}

func TestFleet_TellsWhatIsWrong(t *testing.T) {
	for _, row := range []struct {
		name, head string
		then       func(t *testing.T, c net.Conn)
		want       string
	}{
		{"another status", "HTTP/1.1 503 No\r\n\r\nid: e-0\n\n", nil, `begins with "HTTP/1.1 503`},
		{"end", head, func(_ *testing.T, c net.Conn) { c.Close() }, "a stream ended after 0 events"},
		{"one too many", head, func(t *testing.T, c net.Conn) { send(t, c, "data: 1\n\ndata: 2\n\n") }, "a stream has 2 events, want 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			addr, conns := answering(t, row.head)
			f := start(t)
			g, err := f.Connect(addr, "/events", 1)
			if err == nil && row.then != nil {
				c := <-conns
				defer c.Close()
				row.then(t, c)
				err = f.Await(g, 1)
			}
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}
