package loadgen

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"runtime"
	"syscall"
	"time"
)

const (
	patience = 30 * time.Second
	// burst is how many connections are opened before it is waited for their answers: fewer than a listener's queue.
	burst = 128
	// window is the receive buffer of a stream that is not read.
	window = 4096
)

// Serve is the client: it carries out what a [Fleet] asks for until in ends.
func Serve(in io.Reader, out io.Writer) error {
	runtime.LockOSThread() // the scheduling class is the thread's
	defer runtime.UnlockOSThread()
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("loadgen: epoll_create1: %w", err)
	}
	c := &client{epoll: epoll, buf: make([]byte, 1<<20), events: make([]syscall.EpollEvent, 256)}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		answer, err := c.obey(lines.Text())
		if err != nil {
			answer = err.Error()
		} else {
			answer = "ok" + answer
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
	nap    time.Duration // between two looks at the sockets; zero is to be woken by them
	conns  []conn
	byFD   []int32 // index into conns
	groups []group
	buf    []byte
	events []syscall.EpollEvent
}

// conn is one stream.
type conn struct {
	fd    int32
	group int32
	begun bool // as its group demands
	parser
}

// group is what is waited for.
type group struct {
	size     int
	begun    int
	numbered bool
	stalled  bool
	socket   bool
	deflate  bool
	want     int64
	reached  int // streams with exactly want events, or with the number want at least
	watched  []Arrival
	from     int64 // the number of watched[0]
}

// obey carries out one line and returns what goes behind "ok".
func (c *client) obey(line string) (string, error) {
	var addr, path string
	var a, b, s int
	var k, m int64
	if n, _ := fmt.Sscanf(line, "connect %s %s %d", &addr, &path, &a); n == 3 {
		return "", c.connect(addr, path, a, 1, group{})
	}
	if n, _ := fmt.Sscanf(line, "open %s %s %d %d %d", &addr, &path, &a, &b, &s); n == 5 {
		return "", c.connect(addr, path, a, b, group{numbered: true, stalled: s&1 != 0, socket: s&2 != 0, deflate: s&4 != 0})
	}
	if n, _ := fmt.Sscanf(line, "relax %d", &k); n == 1 {
		return c.relax(time.Duration(k))
	}
	if line == "usage" {
		return usage()
	}
	var verb string
	if n, _ := fmt.Sscanf(line, "%s %d %d %d", &verb, &a, &k, &m); n >= 2 && 0 <= a && a < len(c.groups) {
		switch verb {
		case "await":
			return "", c.await(a, k)
		case "reach":
			return c.reach(a, k, time.Duration(m))
		case "echo":
			return "", c.echo(a, k, int(m))
		case "align":
			for i := range c.conns {
				if c.conns[i].group == int32(a) {
					c.conns[i].last = k
				}
			}
			return "", nil
		case "watch":
			c.groups[a].from, c.groups[a].watched = k, make([]Arrival, m)
			return "", nil
		case "arrivals":
			return arrivals(c.groups[a].watched), nil
		}
	}
	return "", fmt.Errorf("can't make sense of %q", line)
}

func (c *client) await(i int, events int64) error {
	g := &c.groups[i]
	g.want, g.reached = events, 0
	for k := range c.conns {
		k := &c.conns[k]
		if k.group != int32(i) {
			continue
		}
		switch {
		case int64(k.parser.events) > events:
			return fmt.Errorf("a stream has %d events, want %d", k.parser.events, events)
		case int64(k.parser.events) == events:
			g.reached++
		}
	}
	if err := c.poll(patience, func() bool { return g.reached == g.size }); err != nil {
		return fmt.Errorf("%d of %d streams have %d events: %w", g.reached, g.size, events, err)
	}
	return nil
}

// reach waits until all streams have a number, or a higher one, and reports what has come of the group.
func (c *client) reach(i int, number int64, patience time.Duration) (string, error) {
	g := &c.groups[i]
	g.want, g.reached = number, 0
	for k := range c.conns {
		if k := &c.conns[k]; k.group == int32(i) && k.last >= number {
			g.reached++
		}
	}
	err := c.poll(patience, func() bool { return g.reached == g.size })
	if err != nil && !errors.Is(err, errLate) {
		return "", err
	}
	t := Tally{Reached: g.reached}
	for k := range c.conns {
		if k := &c.conns[k]; k.group == int32(i) {
			t.Delivered += int64(k.parser.events)
			t.Missing += k.missing
			t.Duplicates += k.duplicates
			t.Notices += k.notices
		}
	}
	return fmt.Sprintf(" %d %d %d %d %d", t.Reached, t.Delivered, t.Missing, t.Duplicates, t.Notices), nil
}

// echo sends a message on each connection of a group and waits for the echoes.
func (c *client) echo(i int, number int64, size int) error {
	g, message := &c.groups[i], said(number, size)
	g.want, g.reached = number, 0
	for k := range c.conns {
		if k := &c.conns[k]; k.group == int32(i) {
			if n, err := syscall.Write(int(k.fd), message); err != nil || n < len(message) {
				return fmt.Errorf("wrote %d of %d bytes: %w", n, len(message), err)
			}
		}
	}
	if err := c.poll(patience, func() bool { return g.reached == g.size }); err != nil {
		return fmt.Errorf("%d of %d echoes have come: %w", g.reached, g.size, err)
	}
	return nil
}

var errLate = errors.New("gave up waiting")

// poll reads what there is until done.
func (c *client) poll(patience time.Duration, done func() bool) error {
	late := time.Now().Add(patience)
	for !done() {
		left := time.Until(late)
		timeout := max(left.Milliseconds(), 0)
		if c.nap > 0 {
			timeout = 0
		}
		n, err := syscall.EpollWait(c.epoll, c.events, int(timeout))
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		if n == 0 && (c.nap == 0 || left < 0) {
			return errLate
		}
		if n == 0 {
			nap := syscall.NsecToTimespec(c.nap.Nanoseconds())
			_ = syscall.Nanosleep(&nap, nil) // a signal makes it shorter
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
		return fmt.Errorf("a stream ended after %d events", k.parser.events)
	}
	events, last := k.parser.events, k.last
	if err := k.feed(c.buf[:n]); err != nil {
		return fmt.Errorf("after %d events: %w", k.parser.events, err)
	}
	g := &c.groups[k.group]
	if !k.begun && (k.opened || g.numbered && k.state == inBody) {
		k.begun = true
		g.begun++
		if g.stalled {
			return c.forget(k)
		}
	}
	switch {
	case k.parser.events == events:
		return nil
	case g.numbered:
		g.note(last, k.last)
		return nil
	case int64(k.parser.events) == g.want:
		g.reached++
	case int64(events) == g.want:
		g.reached--
	}
	if g.want > 0 && int64(k.parser.events) > g.want {
		return fmt.Errorf("a stream has %d events, want %d", k.parser.events, g.want)
	}
	return nil
}

// note takes down that a stream has got from one number to another.
func (g *group) note(before, after int64) {
	if before < g.want && g.want <= after {
		g.reached++
	}
	first, last := max(before+1, g.from), min(after, g.from+int64(len(g.watched))-1)
	if first > last {
		return
	}
	now := time.Now()
	for i := first; i <= last; i++ {
		a := &g.watched[i-g.from]
		if a.Streams == 0 {
			a.First = now
		}
		a.Last = now
		a.Streams++
	}
}
