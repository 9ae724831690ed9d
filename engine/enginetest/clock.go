package enginetest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/engine"
)

// slack is how late a timer may be.
const slack = 200 * time.Millisecond

func heartbeats(t *testing.T, w *world) {
	w.pace.Heartbeat = 10 * time.Second
	begin := time.Now()
	for _, n := range sizes {
		w.watch(n)
	}
	w.settle()
	w.pass(35 * time.Second)
	for _, v := range w.viewers {
		if len(v.beats) != 3 || v.comments > 0 {
			t.Errorf("%v: %d heartbeats in 35 s, %d of them comments, want three positions", v, len(v.beats), v.comments)
			continue
		}
		for i, at := range v.beats {
			if want := time.Duration(i+1) * 10 * time.Second; at.Sub(begin) < want || at.Sub(begin) > want+3*slack {
				t.Errorf("%v: heartbeat %d after %v", v, i, at.Sub(begin))
			}
		}
	}
}

func noHeartbeat(t *testing.T, w *world) {
	w.pace.Heartbeat = 10 * time.Second
	busy := w.watch(64)
	for range 30 {
		w.some(1, 20)
		w.pass(9 * time.Second)
	}
	if len(busy.beats) > 0 {
		t.Errorf("%d heartbeats between events that are 9 s apart", len(busy.beats))
	}
	w.pass(2 * time.Second)
	if len(busy.beats) != 1 {
		t.Errorf("%d heartbeats after 11 s of silence", len(busy.beats))
	}
}

// heartbeatPosition tells a quiet stream about a busy broker, so that it can still resume when its last event has left
// the history.
func heartbeatPosition(t *testing.T, w *world) {
	quiet := w.viewer(2, "")
	quiet.connect()
	w.settle()
	w.some(10, 10)
	w.pass(16 * time.Second)
	if quiet.pos != w.core.Head() {
		t.Errorf("stands at %d after a heartbeat, the head is %d", quiet.pos, w.core.Head())
	}
	quiet.link.leave(closing)
	w.publish("", 10, 2)
	quiet.connect()
	w.settle()
	saw(t, quiet, 1)
}

func heartbeatWithin(t *testing.T, w *world) {
	w.pace.Heartbeat, w.pace.MaxStall = 5*time.Second, time.Minute
	for n := 1; n < 120; n += 7 {
		w.watch(n).still = true
	}
	synctest.Wait()
	for _, v := range w.viewers {
		for v.pull(1<<20) > 0 {
			synctest.Wait()
		}
	}
	w.some(1, 100)
	for range 10 { // a byte now and then
		w.pass(4 * time.Second)
		for _, v := range w.viewers {
			v.pull(1)
		}
	}
	for _, v := range w.viewers {
		v.still = false
	}
	w.settle()
	for _, v := range w.viewers {
		saw(t, v, 1)
	}
}

func stall(t *testing.T, w *world) {
	w.pace.MaxStall, w.pace.Heartbeat = time.Minute, time.Hour
	v := w.watch(100)
	w.settle()
	v.still = true
	l := v.link
	w.some(1, 1000)
	w.pass(time.Minute - slack)
	if n := len(l.told()); n > 0 {
		t.Fatalf("%v: ended too early", l)
	}
	w.pass(time.Minute/4 + 2*slack)
	if end := l.ended(); !errors.Is(end.Reason, engine.ErrStalled) {
		t.Errorf("ended with %v", end.Reason)
	}
}

func steady(t *testing.T, w *world) {
	w.pace.MaxStall, w.pace.Heartbeat = time.Minute, time.Second
	v := w.watch(2000)
	w.settle()
	v.still = true
	w.some(100, large)
	for range 600 {
		time.Sleep(time.Second)
		synctest.Wait()
		v.pull(400)
	}
	if v.link == nil || len(v.link.told()) > 0 {
		t.Fatalf("a reader of 400 bytes/s was ended: %+v", w.links[0].told())
	}
	v.still = false
	w.settle()
	saw(t, v, 100)
}

func age(t *testing.T, w *world) {
	w.pace.MaxAge, w.pace.Heartbeat = time.Minute, 7*time.Second
	idle := w.viewer(2, "")
	idle.connect()
	busy := w.watch(64)
	slow := w.watch(64)
	w.settle()
	for range 55 {
		w.some(1, 40)
		w.pass(time.Second)
	}
	slow.still = true
	w.some(1, 100)
	for range 4 {
		w.some(1, 100)
		w.pass(time.Second)
	}
	for _, l := range w.links {
		if len(l.told()) > 0 {
			t.Errorf("%v: ended before its age", l)
		}
	}
	w.pass(time.Second + slack)
	slow.still = false
	w.settle()
	w.pass(2 * time.Second)
	for _, v := range []*viewer{idle, busy, slow} {
		l := w.links[v.i]
		if end := l.ended(); !errors.Is(end.Reason, errOld) || !v.farewell || end.Duration < time.Minute || end.Duration > time.Minute+2*time.Second {
			t.Errorf("%v: %+v, farewell %v", l, end, v.farewell)
		}
	}
}
