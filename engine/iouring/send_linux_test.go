package iouring

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/goceleris/celeris/engine/internal/native"
	"github.com/goceleris/celeris/engine/internal/shard"
)

// open returns a sender that the test's end closes.
func open(t *testing.T) *sender {
	t.Helper()
	s, err := newSender(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Skip("SKIPPED: nothing is known about io_uring, which this system doesn't offer:", err)
	}
	t.Cleanup(s.close)
	return s
}

// pair returns two connected sockets; what the first one takes is bounded.
func pair(t testing.TB) (here, there int) {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(p[0])
		unix.Close(p[1])
	})
	if err := unix.SetsockoptInt(p[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 16<<10); err != nil {
		t.Fatal(err)
	}
	return p[0], p[1]
}

// received reads what has come.
func received(t testing.TB, fd int) []byte {
	t.Helper()
	var all []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EAGAIN) || n == 0 {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, buf[:n]...)
	}
}

// to is where operations go, one by one.
type to []int

// batch sends ops, the n-th to the n-th descriptor.
func (fds to) batch(s *sender, ops []shard.Op) {
	for i := range ops {
		ops[i].Conn = native.Bare(fds[i])
	}
	s.batch(ops, func(c shard.Conn) int { return c.(*native.Conn).FD() })
}

func TestSend_ShortIsSeen(t *testing.T) {
	s := open(t)
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	for _, pieces := range [][][]byte{{big}, {big[:500_000], big[500_000:]}} {
		here, there := pair(t)
		ops := []shard.Op{{Bufs: pieces}}
		to{here}.batch(s, ops)
		op := ops[0]
		if !errors.Is(op.Err, shard.ErrRefused) || op.N == 0 || op.N >= len(big) {
			t.Fatalf("%d pieces: N = %d, %v, want some of it and a refusal", len(pieces), op.N, op.Err)
		}
		if got := received(t, there); !bytes.Equal(got, big[:op.N]) {
			t.Errorf("%d pieces: %d bytes came, %d were counted", len(pieces), len(got), op.N)
		}
	}
}

func TestSend_FullIsARefusal(t *testing.T) {
	s := open(t)
	here, there := pair(t)
	ops := []shard.Op{{Bufs: [][]byte{make([]byte, 1<<20)}}}
	to{here}.batch(s, ops)
	filled := ops[0].N
	for _, bufs := range [][][]byte{{[]byte("x")}, {[]byte("x"), []byte("y")}} {
		ops = []shard.Op{{Bufs: bufs}}
		to{here}.batch(s, ops)
		if op := ops[0]; op.N != 0 || !errors.Is(op.Err, shard.ErrRefused) {
			t.Errorf("%d pieces: N = %d, %v, want nothing and a refusal", len(bufs), op.N, op.Err)
		}
	}
	if got := len(received(t, there)); got != filled {
		t.Errorf("%d bytes came, %d were counted", got, filled)
	}
}

func TestSend_ADeadPeerConcernsItsOwnOperationOnly(t *testing.T) {
	s := open(t)
	const n = entries
	var fds, peers to
	for i := range n {
		here, there := pair(t)
		if i%5 == 2 {
			// The descriptor stays, its peer goes.
			if err := unix.Shutdown(there, unix.SHUT_RDWR); err != nil {
				t.Fatal(err)
			}
		}
		fds, peers = append(fds, here), append(peers, there)
	}
	ops := make([]shard.Op, n)
	for i := range ops {
		ops[i].Bufs = [][]byte{{'a' + byte(i%26)}, []byte("tail")}[:1+i%2]
	}
	fds.batch(s, ops)
	for i, op := range ops {
		want := bytes.Join(op.Bufs, nil)
		switch {
		case i%5 == 2:
			if op.N != 0 || !errors.Is(op.Err, unix.EPIPE) {
				t.Errorf("operation %d: N = %d, %v, want EPIPE", i, op.N, op.Err)
			}
		case op.N != len(want) || op.Err != nil:
			t.Errorf("operation %d: N = %d, %v, want %d", i, op.N, op.Err, len(want))
		default:
			if got := received(t, peers[i]); !bytes.Equal(got, want) {
				t.Errorf("operation %d: %q came, want %q", i, got, want)
			}
		}
	}
}

func TestSend_MoreThanOneCallTakes(t *testing.T) {
	s := open(t)
	const limit = 1024 // UIO_MAXIOV
	here, there := pair(t)
	var bufs [][]byte
	for i := range limit + 500 {
		bufs = append(bufs, []byte{byte(i)})
	}
	ops := []shard.Op{{Bufs: bufs}}
	to{here}.batch(s, ops)
	if op := ops[0]; op.N != limit || op.Err != nil {
		t.Fatalf("N = %d, %v, want %d and no refusal: the others were not offered", op.N, op.Err, limit)
	}
	if got := received(t, there); !bytes.Equal(got, bytes.Join(bufs[:limit], nil)) {
		t.Errorf("%d bytes came, other ones than the first %d", len(got), limit)
	}
}

// conns returns operations on connections, and the descriptors of their peers.
func conns(t *testing.T, n int) (ops []shard.Op, peers to) {
	t.Helper()
	for range n {
		here, there := pair(t)
		ops, peers = append(ops, shard.Op{Conn: native.Bare(here)}), append(peers, there)
	}
	return ops, peers
}

func judge(t *testing.T, ops []shard.Op, peers to, text func(i int) string) {
	t.Helper()
	for i, op := range ops {
		want := text(i)
		if op.N != len(want) || op.Err != nil {
			t.Errorf("operation %d: N = %d, %v, want %d", i, op.N, op.Err, len(want))
			continue
		}
		if got := string(received(t, peers[i])); got != want {
			t.Errorf("operation %d: %q came, want %q", i, got, want)
		}
	}
}

func TestSend_MoreThanTheRingTakes(t *testing.T) {
	s := open(t)
	for _, n := range []int{1, 2, entries - 1, entries, entries + 1, 3*entries + 2} {
		ops, peers := conns(t, n)
		text := func(i int) string { return strings.Repeat("x", i+1) }
		for i := range ops {
			ops[i].Bufs = [][]byte{[]byte(text(i))}
		}
		s.send(ops)
		judge(t, ops, peers, text)
	}
}

// A goroutine wanders from thread to thread; here each batch has one of its own.
func TestSend_FromAnyThread(t *testing.T) {
	s := open(t)
	ops, peers := conns(t, 4)
	threads := map[int]bool{}
	for range 20 {
		done := make(chan int)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			for i := range ops {
				ops[i].Bufs = [][]byte{[]byte("from here"), []byte(" and there")}
			}
			s.send(ops)
			done <- unix.Gettid()
		}()
		threads[<-done] = true
		judge(t, ops, peers, func(int) string { return "from here and there" })
	}
	if s.broken {
		t.Error("the ring was given up")
	}
	if len(threads) < 2 {
		t.Errorf("all batches came from one thread: this shows nothing")
	}
}

// A ring that fails is given up, and what it did not take goes out without it.
func TestSend_GoesOnWithoutARing(t *testing.T) {
	var said bytes.Buffer
	s := open(t)
	s.log = slog.New(slog.NewTextHandler(&said, nil))
	ops, peers := conns(t, 5)
	text := func(i int) string { return strings.Repeat("y", 2*i+1) }
	fill := func() {
		for i := range ops {
			ops[i].Bufs = [][]byte{[]byte(text(i))}
		}
	}
	fill()
	s.send(ops)
	judge(t, ops, peers, text)
	// Its descriptor becomes one of another kind.
	other, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Dup3(int(other.Fd()), s.ring.fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		fill()
		s.send(ops)
		judge(t, ops, peers, text)
	}
	if !s.broken {
		t.Error("the ring is not given up")
	}
	if n := strings.Count(said.String(), "io_uring failed"); n != 1 {
		t.Errorf("said %d times that the ring failed, want once: %s", n, said.String())
	}
}

// Nothing of a log stays referred to when it has been sent.
func TestSend_PinsNothing(t *testing.T) {
	s := open(t)
	here, _ := pair(t)
	ops := []shard.Op{{Bufs: [][]byte{[]byte("a"), []byte("b")}}}
	to{here}.batch(s, ops)
	for _, v := range s.vectors[0][:cap(s.vectors[0])] {
		if v.Base != nil {
			t.Error("a piece is still referred to")
		}
	}
}
