package interop

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// cutter stands between clients and a server. Once it is armed it cuts each connection somewhere in what the server sends.
type cutter struct {
	net.Listener
	target string

	mu    sync.Mutex // guards what follows
	rng   *rand.Rand
	armed bool
	cuts  int
	conns map[net.Conn]struct{}
	done  bool
}

// newCutter stands before target, a host and port, until the test ends.
func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l, target: target, rng: rand.New(rand.NewPCG(1, 2)), conns: make(map[net.Conn]struct{})}
	var working sync.WaitGroup
	working.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			working.Go(func() { c.forward(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		c.mu.Lock()
		c.done = true
		for conn := range c.conns {
			conn.Close()
		}
		c.mu.Unlock()
		working.Wait()
	})
	return c
}

func (c *cutter) url() string { return "http://" + c.Addr().String() }

// arm has all connections cut from now on, also those that are open.
func (c *cutter) arm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = true
}

func (c *cutter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cuts
}

// own has the cutter close conn when it ends, or at once if it has.
func (c *cutter) own(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[conn] = struct{}{}
	if c.done {
		conn.Close()
	}
}

func (c *cutter) drop(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, conn)
	conn.Close()
}

func (c *cutter) forward(client net.Conn) {
	c.own(client)
	defer c.drop(client)
	server, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	c.own(server)
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(server, client)
		server.Close()
	})
	defer up.Wait()
	defer client.Close()
	defer c.drop(server)
	c.mu.Lock()
	left, reset := 150+c.rng.IntN(1200), c.rng.IntN(2) == 0
	c.mu.Unlock()
	buf := make([]byte, 4096)
	for {
		n, err := server.Read(buf)
		c.mu.Lock()
		cut := c.armed && n >= left
		c.mu.Unlock()
		if cut {
			n = max(left, 0)
		}
		left -= n
		if _, err2 := client.Write(buf[:n]); err != nil || err2 != nil {
			return
		}
		if cut {
			if tcp, ok := client.(*net.TCPConn); ok && reset {
				_ = tcp.SetLinger(0)
			}
			c.mu.Lock()
			c.cuts++
			c.mu.Unlock()
			return
		}
	}
}
