package native

import (
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goceleris/celeris/engine/internal/shard"
	"github.com/goceleris/celeris/internal/leak"
)

const patience = 20 * time.Second

func newPoller(t testing.TB) *Poller {
	t.Helper()
	p, err := NewPoller(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// pair returns two connected sockets, whose numbers the caller closes.
func pair(t testing.TB) (here, there int) {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p[0], p[1]
}

// attached returns a connection that p watches, its stream and its peer's descriptor.
func attached(t testing.TB, p *Poller) (c *Conn, s *shard.Stream, peer int) {
	t.Helper()
	here, there := pair(t)
	t.Cleanup(func() { unix.Close(there) })
	c, s = Bare(here), new(shard.Stream)
	c.poller = p
	if !c.Attach(s) {
		t.Fatal("the connection is not watched")
	}
	return c, s, there
}

func write(t testing.TB, fd int, text string) {
	t.Helper()
	if _, err := unix.Write(fd, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// await waits until something has happened, and fails the test if nothing does.
func await(t testing.TB, p *Poller) []shard.Event {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if list := p.Wait(nil, end); len(list) > 0 {
			return list
		}
	}
	t.Fatal("nothing happened")
	return nil
}

// none fails the test if something has happened.
func none(t testing.TB, p *Poller, why string) {
	t.Helper()
	if list := p.Wait(nil, time.Time{}); len(list) > 0 {
		t.Errorf("%s: got %+v", why, list)
	}
}

func TestPoller_TellsWhatComes(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, peer int)
		read int
		over bool
	}{
		{"bytes", func(t *testing.T, peer int) { write(t, peer, "hello") }, 5, false},
		{"half-close", func(*testing.T, int) {}, 0, true},
		{"bytes and half-close", func(t *testing.T, peer int) { write(t, peer, "bye") }, 3, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPoller(t)
			c, s, peer := attached(t, p)
			defer c.Close()
			none(t, p, "before")
			tt.do(t, peer)
			if tt.over {
				if err := unix.Shutdown(peer, unix.SHUT_WR); err != nil {
					t.Fatal(err)
				}
			}
			list := await(t, p)
			if len(list) != 1 || list[0] != (shard.Event{Stream: s, Readable: true}) {
				t.Fatalf("got %+v", list)
			}
			if n, over := c.Discard(); n != tt.read || over != tt.over {
				t.Errorf("Discard() = %d, %v, want %d, %v", n, over, tt.read, tt.over)
			}
			none(t, p, "afterwards")
		})
	}
}

// fill writes until c refuses.
func fill(t testing.TB, c *Conn) (n int) {
	t.Helper()
	buf := make([]byte, 32<<10)
	for {
		ops := []shard.Op{{Conn: c, Bufs: [][]byte{buf}}}
		new(Sender).Send(ops)
		n += ops[0].N
		if ops[0].Err != nil {
			return n
		}
	}
}

// empty reads all that there is.
func empty(t testing.TB, fd int) (all []byte) {
	t.Helper()
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, buf)
		if err != nil || n == 0 {
			return all
		}
		all = append(all, buf[:n]...)
	}
}

func TestPoller_TellsOfRoomOnceToWhoHasAsked(t *testing.T) {
	p := newPoller(t)
	c, s, peer := attached(t, p)
	defer c.Close()
	for _, late := range []bool{false, true} { // room may come before it is asked for
		fill(t, c)
		none(t, p, "no room")
		if late {
			empty(t, peer)
			c.Arm()
		} else {
			c.Arm()
			none(t, p, "still no room")
			empty(t, peer)
		}
		if list := await(t, p); len(list) != 1 || list[0] != (shard.Event{Stream: s, Writable: true}) {
			t.Fatalf("late=%v: got %+v", late, list)
		}
		none(t, p, "told before")
		fill(t, c)
		empty(t, peer)
		none(t, p, "nobody has asked")
	}
}

// Another process, or another number for the same socket, keeps it in epoll beyond its close.
func TestConn_LeavesEpollBeforeItIsClosed(t *testing.T) {
	p := newPoller(t)
	c, _, peer := attached(t, p)
	other, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	c.Close()
	write(t, peer, "too late")
	var list [4]unix.EpollEvent
	if n, err := unix.EpollWait(p.fd, list[:], 0); n != 0 || err != nil {
		t.Errorf("epoll tells %d events of a closed connection, %v", n, err)
	}
}

// A place that is given out again never gets what was meant for who had it before.
func TestPoller_DropsWhatIsStale(t *testing.T) {
	p := newPoller(t)
	old, _, _ := attached(t, p)
	index, gen := old.index, p.conns[old.index].gen
	old.Close()
	here, there := pair(t)
	defer unix.Close(here)
	defer unix.Close(there)
	stale := unix.EpollEvent{Events: interest, Fd: index, Pad: gen}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, here, &stale); err != nil {
		t.Fatal(err)
	}
	write(t, there, "x")
	none(t, p, "nobody has the place")
	c, s, peer := attached(t, p)
	defer c.Close()
	if c.index != index || p.conns[index].gen == gen {
		t.Fatalf("place %d, generation %d: this shows nothing", c.index, p.conns[index].gen)
	}
	write(t, there, "y")
	none(t, p, "somebody else has the place")
	write(t, peer, "z")
	if list := await(t, p); len(list) != 1 || list[0].Stream != s {
		t.Errorf("got %+v", list)
	}
}

func TestPoller_UsesPlacesAgain(t *testing.T) {
	p := newPoller(t)
	for range 100 {
		a, _, _ := attached(t, p)
		b, _, _ := attached(t, p)
		a.Close()
		b.Close()
	}
	if n := len(p.conns); n != 2 {
		t.Errorf("%d places for two connections at a time", n)
	}
}

func TestPoller_WakesFromAnywhere(t *testing.T) {
	p := newPoller(t)
	p.Wake()
	p.Wake() // once is enough, and none is lost that came before
	began := time.Now()
	far := began.Add(patience)
	p.Wait(nil, far)
	for range 100 {
		var all sync.WaitGroup
		for range 4 {
			all.Go(p.Wake)
		}
		p.Wait(nil, far)
		all.Wait()
		p.Wait(nil, time.Time{})
		select {
		case <-p.wakes:
		default:
		}
	}
	if took := time.Since(began); took >= patience {
		t.Errorf("woken after %v", took)
	}
}

// What comes while it waits ends the wait, each time.
func TestPoller_TellsWhileItWaits(t *testing.T) {
	p := newPoller(t)
	c, _, peer := attached(t, p)
	defer c.Close()
	for range 5 {
		var writing sync.WaitGroup
		writing.Go(func() {
			time.Sleep(2 * time.Millisecond)     // so that it waits; if not, nothing is shown
			_, _ = unix.Write(peer, []byte("x")) // if it fails nothing is told
		})
		began := time.Now()
		for end := began.Add(patience); time.Now().Before(end); {
			if len(p.Wait(nil, end)) > 0 {
				break
			}
		}
		if took := time.Since(began); took > patience/2 {
			t.Fatalf("told after %v", took)
		}
		writing.Wait()
		c.Discard()
	}
}

func TestPoller_WaitEndsInTime(t *testing.T) {
	p := newPoller(t)
	for range 3 {
		began := time.Now()
		until := began.Add(20 * time.Millisecond)
		if list := p.Wait(nil, until); len(list) > 0 {
			t.Errorf("got %+v", list)
		}
		if now := time.Now(); now.Before(until) {
			t.Errorf("came back %v early", until.Sub(now))
		}
	}
}

func TestPoller_CloseEndsItsGoroutine(t *testing.T) {
	leak.Check(t)
	fds := descriptors(t)
	for range 20 {
		p, err := NewPoller(slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		p.Wait(nil, time.Now().Add(time.Millisecond)) // it looks by now
		p.Close()
		p.Wake() // also after the end
	}
	runtime.GC()
	if n := descriptors(t); n != fds {
		t.Errorf("%d descriptors, %d before", n, fds)
	}
}

// Many events at once: none is lost, and each is told once.
func TestPoller_TellsMoreThanItTakesAtATime(t *testing.T) {
	p := newPoller(t)
	const n = harvest + 50
	peers := make(map[*shard.Stream]int)
	for range n {
		c, s, peer := attached(t, p)
		defer c.Close()
		peers[s] = peer
	}
	for _, fd := range peers {
		write(t, fd, "x")
	}
	for len(peers) > 0 {
		for _, e := range await(t, p) {
			if _, ok := peers[e.Stream]; !ok {
				t.Fatal("told twice")
			}
			delete(peers, e.Stream)
		}
	}
	none(t, p, "all was told")
}
