//go:build linux

package sockets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/middleware/sse"
)

// cable is a link between this network namespace and another.
type cable struct{ near, far, space string }

// ip runs the program of this name.
func ip(t testing.TB, args ...string) error {
	t.Helper()
	out, err := exec.CommandContext(context.Background(), "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// plug returns a cable that the test's end takes away.
func plug(t *testing.T) cable {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: nothing is known about pulled cables: a network namespace takes root")
	}
	n := os.Getpid() % 10000
	c := cable{fmt.Sprintf("cel%da", n), fmt.Sprintf("cel%db", n), fmt.Sprintf("celeris%d", n)}
	if err := ip(t, "netns", "add", c.space); err != nil {
		t.Skip("SKIPPED: nothing is known about pulled cables:", err)
	}
	t.Cleanup(func() {
		_ = ip(t, "link", "del", c.near) // gone already if there was none
		if err := ip(t, "netns", "del", c.space); err != nil {
			t.Error(err)
		}
	})
	for _, args := range []string{
		"link add " + c.near + " type veth peer name " + c.far + " netns " + c.space,
		"addr add 198.18.77.1/30 dev " + c.near,
		"link set " + c.near + " up",
		"-n " + c.space + " addr add 198.18.77.2/30 dev " + c.far,
		"-n " + c.space + " link set " + c.far + " up",
	} {
		if err := ip(t, strings.Fields(args)...); err != nil {
			t.Skip("SKIPPED: nothing is known about pulled cables:", err)
		}
	}
	return c
}

// dial connects from the far end. A socket stays in the namespace that it was made in.
func (c cable) dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var r result
		defer func() { done <- r }()
		f, err := os.Open("/run/netns/" + c.space)
		if err != nil {
			r.err = err
			return
		}
		defer f.Close()
		if r.err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); r.err != nil {
			return
		}
		r.conn, r.err = net.DialTimeout("tcp", addr, patience)
	}()
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { r.conn.Close() })
	return r.conn
}

// A peer that vanishes without a packet is given up after MaxStall, once something has been sent to it.
func TestDeparture_WithoutAPacketIsNoticedAfterMaxStall(t *testing.T) {
	const stall = 500 * time.Millisecond
	over(t, plain, func(t *testing.T, w way) {
		c := plug(t)
		s := w.serve(t, options{
			host: "198.18.77.1", server: celeris.Config{MaxStall: stall}, buffer: 4 << 10,
			events: sse.BrokerConfig{History: 4096, SubscriberBuffer: 4096},
			stream: sse.Config{HeartbeatInterval: 20 * time.Millisecond},
		})
		conn := c.dial(t, s.addr)
		if _, err := io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: example.com\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 200)); err != nil {
			t.Fatal(err)
		}
		s.subscribers(1)
		if err := ip(t, "-n", c.space, "link", "set", c.far, "down"); err != nil {
			t.Fatal(err)
		}
		pulled := time.Now()
		for range 500 { // more than the kernel takes
			s.publish(strings.Repeat("x", 1000))
		}
		reach(t, "end", func() bool { return len(s.ended()) == 1 })
		took := time.Since(pulled)
		if err := s.ended()[0]; !errors.Is(err, engine.ErrStalled) && !errors.Is(err, engine.ErrPeerGone) {
			t.Errorf("ended with %v", err)
		}
		if took < stall {
			t.Errorf("given up after %v, MaxStall is %v", took, stall)
		}
		t.Logf("noticed after %v", took)
		s.settle(0)
	})
}
