package fanout

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// peer is a member that is read by hand, with its driver and owner.
type peer struct {
	*Member
	woken       atomic.Int32
	interrupted atomic.Bool
	limit       int
	status      Status
}

func (p *peer) Wake()                   { p.woken.Add(1) }
func (p *peer) Interrupt()              { p.interrupted.Store(true) }
func (p *peer) Farewell(r error) []byte { return []byte("event: bye\ndata: slow\n\n") }
func (p *peer) Lost(n int) []byte       { return fmt.Appendf(nil, "event: lost\ndata: %d\n\n", n) }

// newTestCore returns a core that ends with the test.
func newTestCore(t testing.TB, cfg Config) *Core {
	t.Helper()
	cfg.Framing, cfg.Logger = textFraming{}, quiet
	c := NewCore(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	return c
}

func newPeer(depth int) *peer {
	p := &peer{limit: 1 << 20}
	p.Member = NewMember(p, p, depth)
	return p
}

// open returns a member that has opened topics at lastID and was told so.
func open(t testing.TB, c *Core, lastID string, topics ...string) *peer {
	t.Helper()
	p := newPeer(4)
	if err := c.Open(p.Member, lastID, topics...); err != nil {
		t.Fatalf("Open(%q, %q): %v", lastID, topics, err)
	}
	p.Start()
	return p
}

// take reads until nothing is due and returns it in short: e1@5 is event 1 at position 5, p2 a private frame,
// lagged:3@9 a notice, snap:new:0@9 a snapshot, @9 a position.
func (p *peer) take() string {
	var out []string
	for p.status = More; p.status == More; {
		var bufs [][]byte
		bufs, p.status = p.Next(nil, p.limit)
		for frame := range bytes.SplitAfterSeq(slices.Concat(bufs...), []byte("\n\n")) {
			if len(frame) > 0 {
				out = append(out, short(frame))
			}
		}
	}
	return strings.Join(out, " ")
}

func short(frame []byte) string {
	b, err := parseBlock(string(bytes.TrimSuffix(frame, []byte("\n\n"))))
	if err != nil {
		return err.Error()
	}
	s := b.kind
	switch b.kind {
	case kindEvent:
		if s = fmt.Sprintf("e%d", b.n); b.window > 0 {
			s += fmt.Sprintf("/%d", b.window)
		}
	case kindPrivate:
		s = fmt.Sprintf("p%d", b.n)
	case kindResync:
		s = fmt.Sprintf("%s:%d", b.reason, b.n)
	case kindSnap:
		s = fmt.Sprintf("snap:%s:%d", b.reason, b.n)
	case kindLost:
		s = fmt.Sprintf("lost:%d", b.n)
	}
	if b.id != "" {
		s += fmt.Sprintf("@%d", b.pos)
	}
	return s
}

// expect takes what is due and compares it.
func (p *peer) expect(t testing.TB, want string) {
	t.Helper()
	if got := p.take(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// publish publishes event n.
func publish(t testing.TB, c *Core, n int, topics ...string) Position {
	t.Helper()
	p, err := c.Publish(context.Background(), eventBody(n, 0), topics...)
	if err != nil {
		t.Fatalf("Publish(%d, %q): %v", n, topics, err)
	}
	return p
}

// publishAll publishes events from to to, each into topic.
func publishAll(t testing.TB, c *Core, from, to int, topic string) {
	t.Helper()
	for n := from; n <= to; n++ {
		publish(t, c, n, topic)
	}
}

func send(t testing.TB, p *peer, n int) {
	t.Helper()
	if err := p.Send(privateBody(n)); err != nil {
		t.Fatalf("Send(%d): %v", n, err)
	}
}

// at is the id of a position in c.
func at(c *Core, p Position) string { return string(AppendID(nil, c.Epoch(), p)) }
