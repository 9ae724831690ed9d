package memnet_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/internal/memnet"
)

// pair returns the two ends of a connection that holds so many bytes.
func pair(t *testing.T, buffer int) (client, server *memnet.Conn) {
	t.Helper()
	l := memnet.Listen(buffer)
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	client, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server = (<-accepted).(*memnet.Conn)
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
		_ = l.Close()
	})
	return client, server
}

func read(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatalf("read %d bytes: %v", n, err)
	}
	return string(b)
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if n, err := io.WriteString(c, text); err != nil || n != len(text) {
		t.Fatalf("Write(%q) = %d, %v", text, n, err)
	}
}

func wantReadError(t *testing.T, c net.Conn, want error) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
		t.Errorf("Read = %d, %v, want 0, %v", n, err, want)
	}
}

func wantWriteError(t *testing.T, c net.Conn, want error) {
	t.Helper()
	if _, err := c.Write([]byte("x")); !errors.Is(err, want) {
		t.Errorf("Write: %v, want %v", err, want)
	}
}

func TestConn_WriterWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t, 4)
		done := make(chan int, 1)
		go func() {
			n, err := server.Write([]byte("0123456789"))
			if err != nil {
				t.Error(err)
			}
			done <- n
		}()
		synctest.Wait()
		if got := client.Unread(); got != 4 || len(done) != 0 {
			t.Fatalf("%d bytes arrived, writer done: %v; want 4, and a writer that waits", got, len(done) != 0)
		}
		if got := read(t, client, 10); got != "0123456789" {
			t.Errorf("read %q", got)
		}
		if n := <-done; n != 10 {
			t.Errorf("Write = %d, want 10", n)
		}
	})
}

func TestConn_HeldReaderStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t, 0)
		client.Hold()
		write(t, server, "x")
		got := make(chan string, 1)
		go func() { got <- read(t, client, 1) }()
		time.Sleep(time.Hour)
		if synctest.Wait(); len(got) != 0 {
			t.Error("a held reader has read")
		}
		client.Release()
		if s := <-got; s != "x" {
			t.Errorf("read %q, want x", s)
		}
	})
}

func TestConn_DeadlinesEndWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t, 1)
		begin := time.Now()
		_ = server.SetDeadline(begin.Add(time.Second))
		wantReadError(t, server, os.ErrDeadlineExceeded)
		_ = server.SetWriteDeadline(begin.Add(3 * time.Second))
		if n, err := server.Write([]byte("xy")); n != 1 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write = %d, %v, want 1, %v", n, err, os.ErrDeadlineExceeded)
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("it took %v, want 3s", took)
		}
		// One that is set meanwhile counts too, and none takes back what was set.
		failed := make(chan error, 1)
		_ = server.SetReadDeadline(time.Time{})
		go func() {
			_, err := server.Read(make([]byte, 1))
			failed <- err
		}()
		synctest.Wait()
		_ = server.SetReadDeadline(time.Unix(1, 0))
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: %v, want %v", err, os.ErrDeadlineExceeded)
		}
		_ = server.SetDeadline(time.Time{})
		write(t, client, "z")
		if got := read(t, server, 1); got != "z" {
			t.Errorf("read %q, want z", got)
		}
	})
}

func TestConn_Ends(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(client *memnet.Conn)
		then func(t *testing.T, client, server *memnet.Conn)
	}{
		{"half-close", func(c *memnet.Conn) { _ = c.CloseWrite() }, func(t *testing.T, client, server *memnet.Conn) {
			if got := read(t, server, 3); got != "abc" {
				t.Errorf("read %q, want abc", got)
			}
			wantReadError(t, server, io.EOF)
			write(t, server, "still")
			if got := read(t, client, 5); got != "still" {
				t.Errorf("read %q, want still", got)
			}
			wantWriteError(t, client, net.ErrClosed)
		}},
		{"close", func(c *memnet.Conn) { _ = c.Close() }, func(t *testing.T, client, server *memnet.Conn) {
			if got := read(t, server, 3); got != "abc" {
				t.Errorf("read %q, want abc", got)
			}
			wantReadError(t, server, io.EOF)
			wantWriteError(t, server, syscall.EPIPE)
			wantReadError(t, client, net.ErrClosed)
			wantWriteError(t, client, net.ErrClosed)
		}},
		{"reset", (*memnet.Conn).Reset, func(t *testing.T, client, server *memnet.Conn) {
			wantReadError(t, server, syscall.ECONNRESET)
			wantWriteError(t, server, syscall.ECONNRESET)
			wantReadError(t, client, syscall.ECONNRESET)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := pair(t, 0)
				write(t, client, "abc")
				tt.end(client)
				tt.then(t, client, server)
			})
		})
	}
}

func TestListener_EndsDialersAndAcceptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen(0)
		errs := make(chan error, 2)
		go func() {
			_, err := l.Accept()
			errs <- err
		}()
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		go func() {
			_, err := l.Dial(t.Context())
			errs <- err
		}()
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("error %v, want %v", err, net.ErrClosed)
			}
		}
	})
}
