package native

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goceleris/celeris/engine/internal/shard"
)

const (
	// harvest is how many events are taken at a time.
	harvest = 256
	// interest is asked for once: edges are told when bytes, the peer's end or, after a refusal, room have come.
	interest = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLOUT | unix.EPOLLET
	departed = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
)

// Poller is the half of a [shard.Backend] that waits. But for Wake, its methods are for the shard's goroutine, and Close
// is for whoever has seen that end.
type Poller struct {
	log   *slog.Logger
	fd    int
	file  *os.File // fd in Go's poller
	raw   syscall.RawConn
	wakes chan struct{}
	ready chan struct{} // the watcher has seen something
	again chan struct{} // it may look again
	done  sync.WaitGroup

	watched bool // the watcher is looking
	limit   *time.Timer
	buf     [harvest]unix.EpollEvent
	scratch [64 << 10]byte // what peers send goes here
	conns   []slot         // by the index in their events
	// What connections that speak TLS send and get goes through these.
	plain, sealed, opened []byte
	free                  []int32
}

// slot is a place for a connection, and how many have had it.
type slot struct {
	conn *Conn
	gen  int32
}

// NewPoller returns a poller with one goroutine, which runs until Close.
func NewPoller(log *slog.Logger) (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("native: epoll_create1: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("native: fcntl: %w", err)
	}
	p := &Poller{
		log: log, fd: fd, file: os.NewFile(uintptr(fd), "epoll"),
		wakes: make(chan struct{}, 1), ready: make(chan struct{}, 1), again: make(chan struct{}, 1),
	}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, fmt.Errorf("native: epoll descriptor: %w", err)
	}
	p.done.Go(p.watch)
	return p, nil
}

// Close gives the descriptor back and waits for the goroutine. Connections have been closed before.
func (p *Poller) Close() {
	close(p.again)
	_ = p.file.Close()
	p.done.Wait()
}

// watch tells when epoll has something, once for each time it is asked.
func (p *Poller) watch() {
	for range p.again {
		// An error means that the descriptor is closed.
		if p.raw.Read(func(fd uintptr) bool { return readable(int(fd)) }) != nil {
			return
		}
		p.ready <- struct{}{}
	}
}

// readable reports whether epoll has an event; it takes none.
func readable(fd int) bool {
	list := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(list[:], 0)
	return n > 0 || err != nil && err != unix.EINTR
}

// Wake implements [shard.Backend].
func (p *Poller) Wake() {
	select {
	case p.wakes <- struct{}{}:
	default:
	}
}

// Wait implements [shard.Backend].
func (p *Poller) Wait(events []shard.Event, until time.Time) []shard.Event {
	n := len(events)
	if events = p.take(events); len(events) > n {
		return events
	}
	left := time.Until(until)
	if left <= 0 {
		return events
	}
	if !p.watched {
		p.watched = true
		p.again <- struct{}{}
	}
	if p.limit == nil {
		p.limit = time.NewTimer(left)
	} else {
		p.limit.Reset(left)
	}
	select {
	case <-p.wakes:
	case <-p.ready:
		p.watched = false
	case <-p.limit.C:
	}
	p.limit.Stop()
	return p.take(events)
}

// take appends what epoll has.
func (p *Poller) take(events []shard.Event) []shard.Event {
	n, err := unix.EpollWait(p.fd, p.buf[:], 0)
	if err != nil {
		return events // EINTR: whatever it is comes again
	}
	for i := range p.buf[:n] {
		e := &p.buf[i]
		s := p.conns[e.Fd]
		if s.conn == nil || s.gen != e.Pad {
			continue
		}
		c := s.conn
		c.dry, c.leaving = false, c.leaving || e.Events&(departed&^unix.EPOLLIN) != 0
		what := shard.Event{Stream: c.owner, Readable: e.Events&departed != 0}
		// There is room when all is gone that was taken before.
		if c.armed && e.Events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 && (c.tls == nil || !errors.Is(c.flush(), shard.ErrRefused)) {
			c.armed, what.Writable = false, true
		}
		if what.Readable || what.Writable {
			events = append(events, what)
		}
	}
	return events
}

// add has c watched.
func (p *Poller) add(c *Conn) error {
	if n := len(p.free); n > 0 {
		c.index, p.free = p.free[n-1], p.free[:n-1]
	} else {
		c.index = int32(len(p.conns))
		p.conns = append(p.conns, slot{})
	}
	s := &p.conns[c.index]
	s.gen++
	s.conn = c
	err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: interest, Fd: c.index, Pad: s.gen})
	if err != nil {
		p.forget(c)
		return fmt.Errorf("native: epoll_ctl: %w", err)
	}
	return nil
}

// drop has c watched no more. It comes before its descriptor is closed: events of a closed one may still come while
// another process has it too.
func (p *Poller) drop(c *Conn) {
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, c.fd, nil) // it was added
	p.forget(c)
}

func (p *Poller) forget(c *Conn) {
	p.conns[c.index].conn = nil
	p.free = append(p.free, c.index)
}
