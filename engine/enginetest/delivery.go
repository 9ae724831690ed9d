package enginetest

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/internal/fanout"
)

// sizes of connections' buffers.
var sizes = []int{1, 2, 7, 64, 4096}

// saw fails the test unless v has seen n events.
func saw(t *testing.T, v *viewer, n int) {
	t.Helper()
	if len(v.seen) != n {
		t.Errorf("%v saw %d events, want %d", v, len(v.seen), n)
	}
	v.w.complete(v)
}

func order(t *testing.T, w *world) {
	for _, n := range sizes {
		w.watch(n)
	}
	w.settle()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for k := range 25 {
				w.publish("", i+k, 1)
			}
		})
	}
	all.Wait()
	w.settle()
	for _, v := range w.viewers {
		saw(t, v, 100)
	}
}

// exactlyOnce cuts connections at every few bytes of the same events.
func exactlyOnce(t *testing.T, w *world) {
	start := w.id(0)
	w.some(12, 10)
	for at := 0; at < 450; at += 7 {
		v := w.viewer(1, start)
		w.buffer = sizes[at%len(sizes)]
		v.still = true
		for range 3 { // it is cut three times before it gets through
			l := v.connect()
			synctest.Wait()
			for l.got < at && v.link != nil && v.pull(at-l.got) > 0 {
				synctest.Wait()
			}
			l.leave(breaking)
		}
		v.still = false
		v.connect()
		w.settle()
		saw(t, v, 12)
		if len(v.resyncs) > 0 {
			t.Errorf("%v got %+v", v, v.resyncs)
		}
		v.link.leave(closing)
	}
}

func severalTopicsOnce(t *testing.T, w *world) {
	for i, want := range []set{1, 2, 3, 6, 7} {
		v := w.viewer(want, "")
		w.buffer = sizes[i]
		v.connect()
	}
	w.settle()
	due := map[*viewer]int{}
	for i := range 70 {
		to := set(i%7 + 1)
		w.publish("", i, to)
		for _, v := range w.viewers {
			if v.want&to != 0 {
				due[v]++
			}
		}
	}
	w.settle()
	for _, v := range w.viewers {
		saw(t, v, due[v])
	}
}

func joinAndLeave(t *testing.T, w *world) {
	a, b := w.watch(5), w.watch(4096)
	w.settle()
	w.publish("", 10, 2) // before it joins
	a.join(1)
	b.join(1)
	w.publish("", 10, 2)
	w.publish("", 10, 3)
	a.leave(1)
	b.leave(1)
	w.publish("", 10, 2) // after it left
	w.publish("", 10, 1)
	w.settle()
	saw(t, a, 3)
	saw(t, b, 3)
}

func resume(t *testing.T, w *world) {
	start := w.watch(64)
	w.settle()
	w.some(30, 5)
	w.settle()
	saw(t, start, 30)
	for p := range fanout.Position(31) {
		v := w.viewer(1, w.id(p))
		w.buffer = sizes[int(p)%len(sizes)]
		v.connect()
		w.settle()
		saw(t, v, 30-int(p))
		if len(v.resyncs) > 0 {
			t.Errorf("resumed at %d of 30: %+v", p, v.resyncs)
		}
	}
	w.some(1, 5) // the live stream goes on where the replay ended
	w.settle()
	for _, v := range w.viewers {
		w.complete(v)
	}
}

func cannotResume(t *testing.T, w *world) {
	w.some(30, 5)
	for _, tt := range []struct{ id, reason string }{
		{w.id(19), fanout.Expired}, {w.id(99999), fanout.UnknownID}, {"what", fanout.UnknownID}, {"other-3", fanout.Restarted},
	} {
		v := w.viewer(1, tt.id)
		w.buffer = 9
		v.connect()
		w.settle()
		w.some(1, 5)
		w.settle()
		if len(v.resyncs) != 1 || v.resyncs[0].reason != tt.reason || len(v.seen) != 1 {
			t.Errorf("resumed from %q: %+v and %d events, want one %s and one event", tt.id, v.resyncs, len(v.seen), tt.reason)
		}
		v.link.leave(closing)
		w.some(30, 5)
	}
}

func privateFrames(t *testing.T, w *world) {
	for _, n := range sizes {
		w.watch(n)
	}
	w.settle()
	for range 4 {
		w.some(3, 20)
		for _, v := range w.viewers {
			v.link.send()
		}
		w.some(2, 0)
	}
	w.settle()
	for _, v := range w.viewers {
		saw(t, v, 20)
		if !slices.Equal(v.privates, v.link.accepted) || len(v.privates) != 4 {
			t.Errorf("%v got private frames %v, want %v", v, v.privates, v.link.accepted)
		}
	}
}

// neverTorn has an end decided while an event is under way, of which more or less is out.
func neverTorn(t *testing.T, w *world) {
	for n := 1; n < 200; n += 3 {
		w.watch(n).still = true
	}
	synctest.Wait()
	for _, v := range w.viewers {
		for v.pull(1<<20) > 0 { // what it opens with
			synctest.Wait()
		}
	}
	w.publish("", 100, 1)
	synctest.Wait()
	for _, v := range w.viewers {
		v.link.send()
		v.link.finish(true)
	}
	w.publish("", 100, 1) // not due any more
	w.pass(2 * time.Second)
	for _, v := range w.viewers {
		v.still = false
	}
	w.settle()
	for _, v := range w.viewers {
		if len(v.seen) != 1 || len(v.privates) != 1 || !v.farewell || v.link != nil {
			t.Errorf("%v: %d events, %d private frames, farewell %v", v, len(v.seen), len(v.privates), v.farewell)
		}
	}
}

func onlyItself(t *testing.T, w *world) {
	slow := w.watch(50)
	slow.still = true
	for range 10 {
		w.watch(4096)
	}
	w.settle()
	begin := time.Now()
	for i := range 100 {
		w.publish("", 100+i, 1)
		w.settle()
	}
	for _, v := range w.viewers[1:] {
		saw(t, v, 100)
	}
	if took := time.Since(begin); took != 0 {
		t.Errorf("everybody waited %v for one", took)
	}
	slow.still = false
	w.settle()
	saw(t, slow, 100)
	if len(slow.resyncs) > 0 {
		t.Errorf("within the limits: %+v", slow.resyncs)
	}
}
