package sim

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/engine/internal/shard"
	"github.com/goceleris/celeris/internal/memnet"
)

// link is a connection of a backend and its other end.
type link struct {
	*conn
	client *memnet.Conn
	sent   int
	stream shard.Stream
}

func newBackend() *backend { return &backend{wakes: make(chan struct{}, 1)} }

func (b *backend) link(t *testing.T, buffer int) *link {
	t.Helper()
	l := memnet.Listen(buffer)
	accepted := make(chan *memnet.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c.(*memnet.Conn)
	}()
	client, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k := &link{client: client, conn: &conn{backend: b, net: <-accepted}}
	k.Attach(&k.stream)
	return k
}

// send offers text and returns what was taken.
func (l *link) send(bufs ...string) (int, error) {
	op := shard.Op{Conn: l.conn}
	for _, s := range bufs {
		op.Bufs = append(op.Bufs, []byte(s))
	}
	ops := []shard.Op{op}
	l.backend.Send(ops)
	return ops[0].N, ops[0].Err
}

// look returns what has happened, without waiting.
func (b *backend) look() []shard.Event { return b.Wait(nil, time.Now()) }

func TestSend_TakesWhatThereIsRoomFor(t *testing.T) {
	b := newBackend()
	for _, tt := range []struct {
		bufs []string
		n    int
		err  error
	}{
		{[]string{"abc"}, 3, nil},
		{[]string{"abc", "defg"}, 7, nil},
		{[]string{"abc", "defgh", "ijk"}, 8, shard.ErrRefused},
		{[]string{"abcdefghi"}, 8, shard.ErrRefused},
	} {
		l := b.link(t, 8)
		if n, err := l.send(tt.bufs...); n != tt.n || err != tt.err {
			t.Errorf("%q: %d, %v, want %d, %v", tt.bufs, n, err, tt.n, tt.err)
		}
		got := make([]byte, 20)
		k, _ := l.client.TryRead(got)
		if want := strings.Join(tt.bufs, "")[:tt.n]; string(got[:k]) != want {
			t.Errorf("%q: read %q, want %q", tt.bufs, got[:k], want)
		}
		if n, err := l.send("x"); n != 1 || err != nil {
			t.Errorf("after reading: %d, %v", n, err)
		}
	}
}

func TestSend_TellsOfADeadConnection(t *testing.T) {
	b := newBackend()
	for name, kill := range map[string]func(*memnet.Conn){
		"closed": func(c *memnet.Conn) { _ = c.Close() }, "reset": (*memnet.Conn).Reset,
	} {
		l := b.link(t, 8)
		kill(l.client)
		if n, err := l.send("x"); n != 0 || err == nil || errors.Is(err, shard.ErrRefused) || errors.Is(err, syscall.EAGAIN) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

func TestArm_IsOneEvent(t *testing.T) {
	b := newBackend()
	l := b.link(t, 4)
	b.look()
	if l.send("abcdef"); len(b.look()) > 0 {
		t.Fatal("an event of a connection that is full and not armed")
	}
	l.Arm()
	if e := b.look(); len(e) > 0 {
		t.Fatalf("full: %+v", e)
	}
	var buf [2]byte
	_, _ = l.client.TryRead(buf[:])
	if e := b.look(); len(e) != 1 || !e[0].Writable || e[0].Readable || e[0].Stream != &l.stream {
		t.Fatalf("after a read: %+v, want one writable event", e)
	}
	_, _ = l.client.TryRead(buf[:])
	if e := b.look(); len(e) > 0 {
		t.Errorf("not armed any more: %+v", e)
	}
}

// The peer reads between the refusal and Arm.
func TestArm_OfWhatTakesBytesAlready(t *testing.T) {
	b := newBackend()
	l := b.link(t, 4)
	l.send("abcdef")
	var buf [4]byte
	_, _ = l.client.TryRead(buf[:])
	b.look()
	l.Arm()
	if e := b.look(); len(e) != 1 || !e[0].Writable {
		t.Errorf("%+v, want one writable event", e)
	}
}

func TestArm_OfADeadConnection(t *testing.T) {
	b := newBackend()
	l := b.link(t, 4)
	l.send("abcdef")
	l.Arm()
	l.client.Reset()
	if e := b.look(); len(e) != 1 || !e[0].Writable || !e[0].Readable {
		t.Errorf("%+v, want one event", e)
	}
}

func TestAttach_SeesWhatWasThereBefore(t *testing.T) {
	b := newBackend()
	l := b.link(t, 4)
	b.look()
	_, _ = l.client.TryWrite([]byte("hi"))
	l.Attach(&l.stream)
	if e := b.look(); len(e) != 1 || !e[0].Readable {
		t.Errorf("%+v, want one readable event", e)
	}
}

func TestDiscard_ReadsAllThereIs(t *testing.T) {
	b := newBackend()
	l := b.link(t, 100_000)
	_, _ = l.client.TryWrite(make([]byte, 9999))
	if n, over := l.Discard(); n != 9999 || over {
		t.Errorf("%d, %v", n, over)
	}
	_ = l.client.CloseWrite()
	if e := b.look(); len(e) != 1 || !e[0].Readable {
		t.Errorf("half-closed: %+v", e)
	}
	if n, over := l.Discard(); n != 0 || !over {
		t.Errorf("half-closed: %d, %v", n, over)
	}
}

func TestClose_NoEventComesAnyMore(t *testing.T) {
	b := newBackend()
	l := b.link(t, 4)
	l.send("abcdef")
	l.Arm()
	_, _ = l.client.TryWrite([]byte("x")) // an event that nobody has taken yet
	l.Close()
	_ = l.client.Close()
	if e := b.look(); len(e) > 0 {
		t.Errorf("%+v", e)
	}
}

func TestQueued_IsWhatThePeerHasNotRead(t *testing.T) {
	l := newBackend().link(t, 10)
	l.send("abcdef")
	var buf [2]byte
	_, _ = l.client.TryRead(buf[:])
	if got := l.Queued(); got != 4 {
		t.Errorf("got %d, want 4", got)
	}
}

func TestWait_ReturnsForAWakeAnEventOrTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		l := b.link(t, 4)
		b.look()
		b.look()
		for len(b.wakes) > 0 {
			<-b.wakes
		}
		for name, tt := range map[string]struct {
			act    func()
			after  time.Duration
			events int
		}{
			"time":  {func() {}, 10 * time.Second, 0},
			"wake":  {b.Wake, time.Second, 0},
			"event": {func() { _, _ = l.client.TryWrite([]byte("x")) }, time.Second, 1},
		} {
			begin := time.Now()
			time.AfterFunc(time.Second, tt.act)
			e := b.Wait(nil, begin.Add(10*time.Second))
			if took := time.Since(begin); took != tt.after || len(e) != tt.events {
				t.Errorf("%s: %d events after %v, want %d after %v", name, len(e), took, tt.events, tt.after)
			}
			l.Discard()
			for synctest.Wait(); len(b.wakes) > 0; {
				<-b.wakes
			}
		}
		b.Wake() // before Wait
		begin := time.Now()
		if b.Wait(nil, begin.Add(time.Hour)); time.Since(begin) != 0 {
			t.Errorf("a wake was lost: waited %v", time.Since(begin))
		}
	})
}

// TestWait_LosesNoEvent reads and writes on many connections while their backend is waited on.
func TestWait_LosesNoEvent(t *testing.T) {
	const links, rounds = 8, 200
	b := newBackend()
	var clients sync.WaitGroup
	all, left := map[*shard.Stream]*link{}, 0
	for range links {
		l := b.link(t, 3)
		all[&l.stream] = l
		l.Arm()
		left += rounds
		clients.Go(func() {
			buf := make([]byte, 1)
			for range rounds {
				if _, err := l.client.Read(buf); err != nil {
					t.Error(err)
				}
			}
		})
	}
	patience := time.Now().Add(20 * time.Second)
	for left > 0 && time.Now().Before(patience) {
		for _, e := range b.Wait(nil, patience) {
			l := all[e.Stream]
			for e.Writable {
				n, err := l.send("x")
				if left -= n; err != nil {
					l.Arm()
					break
				}
				if l.sent += n; l.sent == rounds {
					break
				}
			}
		}
	}
	if left > 0 {
		t.Errorf("%d bytes were never asked for", left)
		for _, l := range all {
			_ = l.client.Close()
		}
	}
	clients.Wait()
}
