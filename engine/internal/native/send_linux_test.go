package native

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/goceleris/celeris/engine/internal/shard"
)

func TestResult(t *testing.T) {
	one, two := [][]byte{make([]byte, 10)}, [][]byte{make([]byte, 4), make([]byte, 6)}
	many := make([][]byte, maxVectors+1)
	for i := range many {
		many[i] = []byte{0}
	}
	for _, tt := range []struct {
		name  string
		bufs  [][]byte
		n     int
		errno syscall.Errno
		want  int
		err   error
	}{
		{"all", one, 10, 0, 10, nil},
		{"all of two", two, 10, 0, 10, nil},
		{"short", one, 9, 0, 9, shard.ErrRefused},
		{"nothing", one, 0, 0, 0, shard.ErrRefused},
		{"short at a border", two, 4, 0, 4, shard.ErrRefused},
		{"short in the second", two, 5, 0, 5, shard.ErrRefused},
		{"all that was offered", many, maxVectors, 0, maxVectors, nil},
		{"short of what was offered", many, maxVectors - 1, 0, maxVectors - 1, shard.ErrRefused},
		{"full", one, -1, unix.EAGAIN, 0, shard.ErrRefused},
		{"no memory now", one, -1, unix.ENOBUFS, 0, shard.ErrRefused},
		{"reset", one, -1, unix.ECONNRESET, 0, unix.ECONNRESET},
		{"closed", two, -1, unix.EPIPE, 0, unix.EPIPE},
	} {
		n, err := Result(tt.bufs, tt.n, tt.errno)
		if n != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: Result() = %d, %v, want %d, %v", tt.name, n, err, tt.want, tt.err)
		}
	}
}

func TestAppendVectors(t *testing.T) {
	for _, n := range []int{0, 1, 3, maxVectors, maxVectors + 10} {
		bufs := make([][]byte, n)
		for i := range bufs {
			bufs[i] = make([]byte, i%5)
		}
		v := AppendVectors(make([]unix.Iovec, 1), bufs)[1:]
		if want := min(n, maxVectors); len(v) != want {
			t.Fatalf("%d pieces became %d, want %d", n, len(v), want)
		}
		for i := range v {
			if int(v[i].Len) != len(bufs[i]) || len(bufs[i]) > 0 && v[i].Base != &bufs[i][0] {
				t.Errorf("piece %d of %d is another", i, n)
			}
		}
	}
}

func TestSender(t *testing.T) {
	s := new(Sender)
	big := bytes.Repeat([]byte("0123456789"), 200_000)
	var many [][]byte
	for i := range maxVectors + 100 {
		many = append(many, []byte{byte(i)})
	}
	for _, tt := range []struct {
		name string
		bufs [][]byte
		n    int // -1 for something below all of it
		err  error
	}{
		{"one piece", [][]byte{[]byte("hello")}, 5, nil},
		{"two pieces", [][]byte{[]byte("hel"), []byte("lo")}, 5, nil},
		{"more than one call takes", many, maxVectors, nil},
		{"one that doesn't fit", [][]byte{big}, -1, shard.ErrRefused},
		{"two that don't fit", [][]byte{big, big}, -1, shard.ErrRefused},
	} {
		here, there := pair(t)
		ops := []shard.Op{{Conn: Bare(here), Bufs: tt.bufs}}
		s.Send(ops)
		all := bytes.Join(tt.bufs, nil)
		op := ops[0]
		if !errors.Is(op.Err, tt.err) || tt.n >= 0 && op.N != tt.n || tt.n < 0 && (op.N == 0 || op.N == len(all)) {
			t.Errorf("%s: N = %d, %v", tt.name, op.N, op.Err)
		}
		if got := empty(t, there); !bytes.Equal(got, all[:op.N]) {
			t.Errorf("%s: %d bytes came, %d were counted", tt.name, len(got), op.N)
		}
		unix.Close(there)
		s.Send(ops)
		if op := ops[0]; op.N != 0 || !errors.Is(op.Err, unix.EPIPE) {
			t.Errorf("%s, to a dead peer: N = %d, %v", tt.name, op.N, op.Err)
		}
		unix.Close(here)
	}
	for _, v := range s.vectors[:cap(s.vectors)] {
		if v.Base != nil {
			t.Fatal("a piece is still referred to")
		}
	}
}
