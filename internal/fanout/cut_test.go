package fanout

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
)

// TestModel_CutAfterEveryByte cuts a stream that has everything in it after each of its bytes, comes back and
// reads on: the oracle of the model has nothing to object to, wherever the cut falls.
func TestModel_CutAfterEveryByte(t *testing.T) {
	for name, snapshot := range map[string]bool{"notice": false, "snapshot": true} {
		t.Run(name, func(t *testing.T) {
			size := 1
			for cut := 0; cut <= size; cut++ {
				synctest.Test(t, func(t *testing.T) {
					w := newScript(snapshot)
					size = w.cutAfter(cut)
					if w.err != "" {
						t.Errorf("cut after %d of %d bytes: %s", cut, size, w.err)
					}
				})
			}
			if size < 300 {
				t.Errorf("the stream has %d bytes: what is in it?", size)
			}
		})
	}
}

// newScript returns a world with one client of two topics, whose steps are up to the test.
func newScript(snapshot bool) *world {
	hurry, cancel := context.WithCancel(context.Background())
	cancel()
	w := &world{
		r: rand.New(rand.NewPCG(1, 1)), dice: rand.New(rand.NewPCG(1, 2)), strict: true,
		truth: map[string][]*event{}, barriers: map[int]Position{}, hurry: hurry,
		cfg: Config{Framing: textFraming{}, SubscriberBuffer: 4, History: 4, Logger: quiet}, counts: make([]int, 2),
	}
	if snapshot {
		w.cfg.Snapshot = func(_ context.Context, _ Owner, n Notice) ([]byte, error) { return snapBody(n), nil }
	}
	w.start(2)
	w.cfg = w.core.cfg
	w.clients = []*client{{w: w, want: 3, seen: map[int]bool{}}}
	return w
}

// cutAfter plays a connection that is told of a loss, takes events, private frames and heartbeats, and is cut
// after so many bytes; then one that takes what is left. It returns how many bytes there were to cut.
func (w *world) cutAfter(cut int) int {
	c := w.clients[0]
	pass := func(events int) {
		for range events {
			w.publish()
		}
		for range 2 { // a snapshot is built in between
			c.conn.room = 1 << 20
			c.conn.pass()
			w.settle()
		}
	}
	w.connect(c)
	pass(2)
	c.read(1 << 20)
	c.cut()
	for range 20 { // more than History
		w.publish()
	}
	w.connect(c)
	pass(0)
	pass(3)
	w.send(c)
	pass(2)
	c.conn.heartbeat()
	w.send(c)
	pass(1)
	c.conn.heartbeat()
	pass(0)
	size := len(c.conn.kernel)
	c.read(cut)
	c.cut()
	for range 2 {
		w.publish()
	}
	w.connect(c)
	pass(1)
	c.read(1 << 20)
	w.rest()
	w.stop()
	return size
}
