package loadgen

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"time"
)

const (
	patience = 30 * time.Second
	// burst is how many connections are opened before it is waited for their answers: fewer than a listener's queue.
	burst = 128
)

// Serve is the client: it carries out what a [Fleet] asks for until in ends.
func Serve(in io.Reader, out io.Writer) error {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("loadgen: epoll_create1: %w", err)
	}
	c := &client{epoll: epoll, buf: make([]byte, 64<<10), events: make([]syscall.EpollEvent, 256)}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		answer := "ok"
		if err := c.obey(lines.Text()); err != nil {
			answer = err.Error()
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return fmt.Errorf("loadgen: answer: %w", err)
		}
	}
	return lines.Err() // the kernel closes the connections
}

// client holds all streams, on one goroutine.
type client struct {
	epoll  int
	conns  []conn
	byFD   []int32 // index into conns
	groups []group
	buf    []byte
	events []syscall.EpollEvent
}

// conn is one stream.
type conn struct {
	fd     int32
	group  int32
	events int32
	opened bool
	parser parser
}

// group is what is waited for.
type group struct {
	size    int
	opened  int
	want    int32
	reached int // streams with exactly want events
}

func (c *client) obey(line string) error {
	var addr, path string
	var a, b int
	if n, _ := fmt.Sscanf(line, "connect %s %s %d", &addr, &path, &a); n == 3 {
		return c.connect(addr, path, a)
	}
	if n, _ := fmt.Sscanf(line, "await %d %d", &a, &b); n == 2 && 0 <= a && a < len(c.groups) {
		return c.await(a, int32(b))
	}
	return fmt.Errorf("can't make sense of %q", line)
}

func (c *client) connect(addr, path string, n int) error {
	to, err := netip.ParseAddrPort(addr)
	if err != nil || !to.Addr().Is4() {
		return fmt.Errorf("%q is no IPv4 address with a port: %w", addr, err)
	}
	sockaddr := &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\nAccept: text/event-stream\r\n\r\n")
	c.groups = append(c.groups, group{})
	g := &c.groups[len(c.groups)-1]
	for g.size < n {
		if err := c.dial(sockaddr, request, int32(len(c.groups)-1)); err != nil {
			return fmt.Errorf("stream %d of %d: %w", g.size, n, err)
		}
		g.size++
		if g.size%burst == 0 || g.size == n {
			if err := c.poll(func() bool { return g.opened == g.size }); err != nil {
				return fmt.Errorf("%d of %d streams have begun: %w", g.opened, g.size, err)
			}
		}
	}
	return nil
}

func (c *client) dial(to syscall.Sockaddr, request []byte, group int32) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if err := syscall.Connect(fd, to); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("fcntl: %w", err)
	}
	if n, err := syscall.Write(fd, request); err != nil || n < len(request) {
		return fmt.Errorf("send request: wrote %d bytes: %w", n, err)
	}
	for len(c.byFD) <= fd {
		c.byFD = append(c.byFD, -1)
	}
	c.byFD[fd] = int32(len(c.conns))
	c.conns = append(c.conns, conn{fd: int32(fd), group: group})
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
	if err := syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (c *client) await(i int, events int32) error {
	g := &c.groups[i]
	g.want, g.reached = events, 0
	for _, k := range c.conns {
		if k.group != int32(i) {
			continue
		}
		switch {
		case k.events > events:
			return fmt.Errorf("a stream has %d events, want %d", k.events, events)
		case k.events == events:
			g.reached++
		}
	}
	if err := c.poll(func() bool { return g.reached == g.size }); err != nil {
		return fmt.Errorf("%d of %d streams have %d events: %w", g.reached, g.size, events, err)
	}
	return nil
}

var errLate = errors.New("gave up waiting")

// poll reads what there is until done.
func (c *client) poll(done func() bool) error {
	late := time.Now().Add(patience)
	for !done() {
		n, err := syscall.EpollWait(c.epoll, c.events, int(time.Until(late).Milliseconds()))
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		if n == 0 {
			return errLate
		}
		for _, e := range c.events[:n] {
			if err := c.read(&c.conns[c.byFD[e.Fd]]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *client) read(k *conn) error {
	n, err := syscall.Read(int(k.fd), c.buf)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("a stream ended after %d events", k.events)
	}
	events, opened, err := k.parser.feed(c.buf[:n])
	if err != nil {
		return err
	}
	g := &c.groups[k.group]
	if opened && !k.opened {
		k.opened = true
		g.opened++
	}
	if events == 0 {
		return nil
	}
	before := k.events
	k.events += int32(events)
	switch {
	case k.events == g.want:
		g.reached++
	case before == g.want:
		g.reached--
	}
	if g.want > 0 && k.events > g.want {
		return fmt.Errorf("a stream has %d events, want %d", k.events, g.want)
	}
	return nil
}
