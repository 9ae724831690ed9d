package enginetest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/internal/fanout"
)

// lagConfig is for readers that fall behind: the events are so large that no driver holds many of them.
var lagConfig = fanout.Config{SubscriberBuffer: 8, History: 4000}

const large = 3000

// behind returns a viewer that has stood still for a second while 100 large events were published, with its verdict
// carried out.
func behind(w *world, verdict fanout.Verdict) *viewer {
	w.verdict = func(*link) fanout.Verdict { return verdict }
	v := w.watch(100)
	w.settle()
	fall(w, v)
	return v
}

func fall(w *world, v *viewer) {
	v.still = true
	w.some(50, large)
	w.pass(time.Second)
	w.some(50, large)
	w.pass(2 * time.Second)
}

// goOn has the viewer read on.
func goOn(w *world, v *viewer) {
	v.still = false
	w.settle()
}

// ask fails the test unless OnSlow was asked n times on l.
func ask(t *testing.T, l *link, n int) {
	t.Helper()
	l.v.w.mu.Lock()
	defer l.v.w.mu.Unlock()
	if l.asked != n {
		t.Errorf("%v: OnSlow was asked %d times, want %d", l, l.asked, n)
	}
}

// told fails the test unless v got so many notices, all of them for a lag, that make its account right.
func told(t *testing.T, v *viewer, notices int) {
	t.Helper()
	lost := 0
	for _, r := range v.resyncs {
		if r.reason != fanout.Lagged {
			t.Errorf("%v: notice %+v", v, r)
		}
		lost += r.n
	}
	if len(v.resyncs) != notices || len(v.seen)+lost != v.w.last {
		t.Errorf("%v: notices %+v, want %d; saw %d events and lost %d, %d were published", v, v.resyncs, notices, len(v.seen), lost, v.w.last)
	}
}

func resyncOnce(t *testing.T, w *world) {
	v := behind(w, fanout.Drop)
	ask(t, v.link, 1)
	w.some(50, large) // the same episode
	w.pass(2 * time.Second)
	ask(t, v.link, 1)
	goOn(w, v)
	told(t, v, 1)
	w.some(5, 10)
	w.settle()
	told(t, v, 1)
	fall(w, v) // another one
	goOn(w, v)
	told(t, v, 2)
	ask(t, v.link, 2)
	w.complete(v)
}

func policyDrop(t *testing.T, w *world) {
	v := behind(w, fanout.Drop)
	goOn(w, v)
	told(t, v, 1)
	w.some(3, 10)
	w.settle()
	told(t, v, 1)
	w.complete(v)
	if len(v.seen) < 4 || len(v.seen) > 50 {
		t.Errorf("saw %d events: a drop skips to the head", len(v.seen))
	}
}

func policyRemove(t *testing.T, w *world) {
	v := behind(w, fanout.Remove)
	goOn(w, v)
	n := len(v.seen)
	if len(v.resyncs) != 1 || v.resyncs[0].reason != fanout.Removed || v.resyncs[0].n <= 8 || n+v.resyncs[0].n > w.last {
		t.Errorf("after %d of %d events: %+v, want that it was removed", n, w.last, v.resyncs)
	}
	w.some(5, 10)
	w.pass(40 * time.Second)
	if len(v.seen) != n || v.comments < 2 || v.link == nil {
		t.Errorf("removed with %d events, has %d and %d comments, connected %v", n, len(v.seen), v.comments, v.link != nil)
	}
	v.link.leave(closing)
	v.connect() // its place was not lost
	w.settle()
	saw(t, v, w.last)
}

func policyClose(t *testing.T, w *world) {
	v := behind(w, fanout.Close)
	l := v.link
	goOn(w, v)
	w.pass(2 * time.Second)
	if !v.farewell || v.link != nil || len(v.resyncs) > 0 {
		t.Errorf("farewell %v, connected %v, notices %+v", v.farewell, v.link != nil, v.resyncs)
	}
	if end := l.ended(); !errors.Is(end.Reason, fanout.ErrSlow) {
		t.Errorf("ended with %v", end.Reason)
	}
	v.connect()
	w.settle()
	saw(t, v, w.last)
}

func policyCatchUp(t *testing.T, w *world) {
	v := behind(w, fanout.CatchUp)
	w.some(50, large)
	w.pass(2 * time.Second)
	ask(t, v.link, 1)
	goOn(w, v)
	told(t, v, 0)
	fall(w, v) // it has caught up: this is another episode
	ask(t, v.link, 2)
	goOn(w, v)
	told(t, v, 0)
}

func policyLatest(t *testing.T, w *world) {
	w.verdict = func(*link) fanout.Verdict { return fanout.Latest }
	v := w.watch(100)
	w.settle()
	v.still = true
	for i := range 400 {
		w.publish([]string{"", "x", "y", "z"}[min(i%16, 3)], large/4, 1)
		if i%100 == 50 {
			w.pass(time.Second)
		}
	}
	w.pass(2 * time.Second)
	goOn(w, v)
	if v.conflated == 0 && len(v.resyncs) == 0 {
		t.Errorf("nothing was skipped: %d events seen", len(v.seen))
	}
	if len(v.resyncs) == 0 && len(v.seen)+v.conflated != w.last {
		t.Errorf("saw %d events, %d were obsolete, %d were published", len(v.seen), v.conflated, w.last)
	}
	v.still = true
	before, skipped := len(v.seen), v.conflated
	for range 100 { // all of one key: the newest is enough
		w.publish("x", large, 1)
	}
	w.pass(time.Second)
	w.publish("x", large, 1)
	w.pass(2 * time.Second)
	goOn(w, v)
	if !v.seen[w.last] || v.conflated == skipped || len(v.seen)-before > 50 {
		t.Errorf("the newest seen: %v; %d were obsolete, %d seen", v.seen[w.last], v.conflated-skipped, len(v.seen)-before)
	}
	if len(v.seen)-before+v.conflated-skipped != 101 {
		t.Errorf("saw %d events, %d were obsolete, 101 were published", len(v.seen)-before, v.conflated-skipped)
	}
	w.some(1, 1)
	w.settle()
	if !v.seen[w.last] {
		t.Error("does not go on")
	}
}

// burst is much at once for readers that take all of it.
func burst(t *testing.T, w *world) {
	for _, n := range []int{1000, 4096, 1 << 20} {
		w.watch(n)
	}
	w.settle()
	for range 200 {
		w.some(20, 10)
		w.settle()
	}
	for _, v := range w.viewers {
		saw(t, v, 4000)
		ask(t, v.link, 0)
	}
}

// lastBurst is much at once, and then nothing, for a reader that stands still.
func lastBurst(t *testing.T, w *world) {
	if !w.rig.Parks {
		return // a goroutine that waits in a write is looked at with the next event
	}
	v := w.watch(100)
	w.settle()
	v.still = true
	w.some(100, large)
	w.pass(2 * time.Second)
	ask(t, v.link, 1)
	goOn(w, v)
	told(t, v, 1)
}

// contained has callbacks that hang and panic.
func contained(t *testing.T, w *world) {
	hang := make(chan struct{})
	stuck, panics := w.viewer(1, ""), w.viewer(1, "")
	w.verdict = func(l *link) fanout.Verdict {
		switch l.v {
		case stuck:
			<-hang
		case panics:
			l.may(fanout.ErrPanicked)
			panic("on purpose")
		}
		return fanout.Drop
	}
	w.buffer = 100
	stuck.connect()
	broken := panics.connect()
	healthy := w.watch(1 << 20)
	w.settle()
	stuck.still, panics.still = true, true
	w.some(50, large)
	w.pass(time.Second)
	w.some(50, large)
	w.pass(2 * time.Second)
	ask(t, stuck.link, 1)
	ask(t, broken, 1)
	saw(t, healthy, 100)
	goOn(w, panics)
	w.pass(2 * time.Second)
	if end := broken.ended(); !errors.Is(end.Reason, fanout.ErrPanicked) {
		t.Errorf("ended with %v", end.Reason)
	}
	goOn(w, stuck) // served on while the question is open, and too late for a verdict
	close(hang)
	synctest.Wait()
	w.settle()
	saw(t, stuck, 100)
	if s := w.core.Stats(); s.CallbackPanics != 1 || s.Callbacks != 0 {
		t.Errorf("stats %+v", s)
	}
}
