package native

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goceleris/celeris/engine/internal/shard"
)

func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// connected returns both ends of a connection of package net.
func connected(t testing.TB, network string) (here, there net.Conn) {
	t.Helper()
	if network == "tls" {
		here, there = connected(t, "tcp")
		return secured(t, here, there, nil)
	}
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	there, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { there.Close() })
	if here, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	if err := there.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return here, there
}

type embedding struct{ *net.TCPConn }

func TestParks(t *testing.T) {
	here, there := connected(t, "tcp")
	defer here.Close()
	local, _ := connected(t, "unix")
	defer local.Close()
	pipe, other := net.Pipe()
	defer pipe.Close()
	defer other.Close()
	for _, tt := range []struct {
		c    net.Conn
		want bool
	}{{here, true}, {there, true}, {local, true}, {embedding{here.(*net.TCPConn)}, false}, {pipe, false}} {
		if got := parks(tt.c); got != tt.want {
			t.Errorf("parks(%T) = %v, want %v", tt.c, got, tt.want)
		}
	}
}

// exchange sends through c, and closes it.
func exchange(t *testing.T, c *Conn, there net.Conn) {
	t.Helper()
	ops := []shard.Op{{Conn: c, Bufs: [][]byte{[]byte("hello")}}}
	new(Sender).Send(ops)
	if ops[0].N != 5 || ops[0].Err != nil {
		t.Fatalf("N = %d, %v", ops[0].N, ops[0].Err)
	}
	c.Close()
	if got, err := io.ReadAll(there); string(got) != "hello" || err != nil {
		t.Errorf("the peer read %q, %v, want all of it and the end", got, err)
	}
}

func TestTake_MakesTheSocketItsOwn(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			here, there := connected(t, network)
			fds := descriptors(t)
			c, _, err := take(here, time.Minute, 32<<10, false)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := here.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the net.Conn still writes: %v", err)
			}
			if n := descriptors(t); n != fds {
				t.Errorf("%d descriptors, %d before", n, fds)
			}
			if flags, err := unix.FcntlInt(uintptr(c.fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("a child process would have the socket too: %#x, %v", flags, err)
			}
			exchange(t, c, there)
			if n := descriptors(t); n != fds-1 {
				t.Errorf("%d descriptors are left, want %d", n, fds-1)
			}
		})
	}
}

func TestTake_WithoutADescriptorToSpareUsesTheOneThatIsThere(t *testing.T) {
	here, there := connected(t, "tcp")
	fds := descriptors(t)
	restore := full(t)
	c, _, err := take(here, time.Minute, 32<<10, false)
	restore()
	if err != nil {
		t.Fatal(err)
	}
	if c.keep != here {
		t.Error("the net.Conn is not kept")
	}
	exchange(t, c, there)
	if n := descriptors(t); n != fds-1 {
		t.Errorf("%d descriptors are left, want %d", n, fds-1)
	}
	if _, err := here.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the net.Conn still writes: %v", err)
	}
}

// full makes this process one that can open no more, until restore is called.
func full(t testing.TB) (restore func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTake_OfAClosedConnectionFails(t *testing.T) {
	here, _ := connected(t, "tcp")
	here.Close()
	if c, _, err := take(here, time.Minute, 32<<10, false); err == nil {
		c.Close()
		t.Error("a closed connection was taken over")
	}
}

func option(t testing.TB, c *Conn, level, name int) int {
	t.Helper()
	v, err := unix.GetsockoptInt(c.fd, level, name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTake_SetsWhatAStreamWants(t *testing.T) {
	here, _ := connected(t, "tcp")
	c, _, err := take(here, 3*time.Second, 32<<10, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, tt := range []struct {
		name             string
		level, opt, want int
	}{
		{"SO_SNDBUF, doubled by the kernel", unix.SOL_SOCKET, unix.SO_SNDBUF, 64 << 10},
		{"SO_RCVBUF, doubled by the kernel", unix.SOL_SOCKET, unix.SO_RCVBUF, 2 * receiveBuffer},
		{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent},
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 8000},
	} {
		if got := option(t, c, tt.level, tt.opt); got != tt.want {
			t.Errorf("%s = %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestTake_RespectsWhatTheProgramHasSet(t *testing.T) {
	here, _ := connected(t, "tcp")
	tcp := here.(*net.TCPConn)
	if err := errors.Join(tcp.SetWriteBuffer(9<<10), tcp.SetReadBuffer(20<<10)); err != nil {
		t.Fatal(err)
	}
	c, _, err := take(here, time.Minute, 32<<10, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := option(t, c, unix.SOL_SOCKET, unix.SO_SNDBUF); got != 18<<10 {
		t.Errorf("SO_SNDBUF = %d, want %d", got, 18<<10)
	}
	if got := option(t, c, unix.SOL_SOCKET, unix.SO_RCVBUF); got != 40<<10 {
		t.Errorf("SO_RCVBUF = %d, want %d", got, 40<<10)
	}
}

func TestConn_CountsWhatIsNotAcknowledged(t *testing.T) {
	here, there := connected(t, "tcp")
	c, _, err := take(here, time.Minute, 32<<10, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n := c.Queued(); n != 0 {
		t.Errorf("Queued() = %d at the beginning", n)
	}
	sent := fill(t, c)
	full := c.Queued()
	if full == 0 || full > sent {
		t.Fatalf("Queued() = %d of %d", full, sent)
	}
	if _, err := io.ReadFull(there, make([]byte, sent)); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); c.Queued() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("Queued() = %d when all is read", c.Queued())
		}
	}
}

// One that can't be watched is treated as if its peer had left.
func TestConn_ThatCannotBeWatchedIsOver(t *testing.T) {
	p := newPoller(t)
	f, err := os.Open("/proc/self/maps") // a file is nothing for epoll
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := Bare(fd)
	c.poller = p
	if c.Attach(new(shard.Stream)) {
		t.Error("a file is watched")
	}
	c.Close()
	if len(p.free) != len(p.conns) {
		t.Error("its place is not given back")
	}
}

func TestConn_ResetIsTheEnd(t *testing.T) {
	p := newPoller(t)
	here, there := connected(t, "tcp")
	c, _, err := take(here, time.Minute, 32<<10, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.poller = p
	c.Attach(new(shard.Stream))
	if err := there.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	there.Close()
	if list := await(t, p); !list[0].Readable {
		t.Errorf("got %+v", list)
	}
	if _, over := c.Discard(); !over {
		t.Error("a reset connection is not over")
	}
}
