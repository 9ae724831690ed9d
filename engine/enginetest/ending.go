package enginetest

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/memnet"
)

// departure has clients leave who are idle, who read nothing while much is due, and who are amid an event.
func departure(t *testing.T, w *world, how func(*memnet.Conn)) {
	idle, still, amid := w.watch(4096), w.watch(64), w.watch(64)
	w.settle()
	still.still, amid.still = true, true
	w.some(10, 200)
	w.settle()
	amid.pull(100)
	begin := time.Now()
	for _, v := range []*viewer{idle, still, amid} {
		l := v.link
		l.leave(how)
		if end := l.ended(); !errors.Is(end.Reason, engine.ErrPeerGone) || time.Since(begin) != 0 {
			t.Errorf("%v: %v after %v", l, end.Reason, time.Since(begin))
		}
	}
	if n := w.core.Followers("a"); n != 0 {
		t.Errorf("%d followers are left", n)
	}
}

func halfClose(t *testing.T, w *world) { departure(t, w, halfway) }
func fullClose(t *testing.T, w *world) { departure(t, w, closing) }
func reset(t *testing.T, w *world)     { departure(t, w, breaking) }

// disappearance is a peer of which nothing comes any more, not even an end. Only heartbeats show it.
func disappearance(t *testing.T, w *world) {
	w.pace.Heartbeat, w.pace.MaxStall = 10*time.Second, time.Minute
	v := w.watch(50)
	w.settle()
	v.still = true
	w.pass(5 * time.Minute)
	if end := v.link.ended(); !errors.Is(end.Reason, engine.ErrStalled) || end.Duration < time.Minute {
		t.Errorf("%+v", end)
	}
}

// say has the client send n bytes.
func say(c *memnet.Conn, n int) (sent int) {
	for sent < n {
		k, _ := c.TryWrite(make([]byte, min(4096, n-sent)))
		if sent += k; k == 0 {
			break
		}
		synctest.Wait()
	}
	return sent
}

func strayBytes(t *testing.T, w *world) {
	v := w.watch(128)
	w.settle()
	for range 10 {
		say(v.link.conn, 100)
		w.some(1, 300)
		w.settle()
	}
	saw(t, v, 10)
	w.pass(40 * time.Second)
	l := v.link
	l.leave(closing)
	w.pass(40 * time.Second) // without a goroutine that reads, the next heartbeats show it
	if end := l.ended(); !errors.Is(end.Reason, engine.ErrPeerGone) {
		t.Errorf("ended with %v", end.Reason)
	}
}

func strayFlood(t *testing.T, w *world) {
	v := w.watch(1 << 20)
	w.settle()
	l := v.link
	l.may(engine.ErrPeerGone)
	say(l.conn, 64<<10)
	if len(l.told()) > 0 {
		t.Error("ended at 64 KiB")
	}
	say(l.conn, 1)
	w.settle()
	if !w.rig.Parks { // it does not read
		if v.link == nil {
			t.Error("ended for bytes that nobody reads")
		}
		return
	}
	if end := l.ended(); !errors.Is(end.Reason, engine.ErrPeerGone) {
		t.Errorf("ended with %v", end.Reason)
	}
}

func farewellComplete(t *testing.T, w *world) {
	for _, n := range sizes {
		v := w.watch(n)
		v.still = true
	}
	synctest.Wait()
	w.some(2, 50)
	for _, v := range w.viewers {
		say(v.link.conn, n(v)) // unread input
		v.link.finish(true)
	}
	w.some(2, 50)
	for _, v := range w.viewers {
		v.still = false
	}
	w.settle()
	w.pass(2 * time.Second)
	for i, v := range w.viewers {
		l := w.links[i]
		end := l.ended()
		if len(v.seen) != 2 || !v.farewell || !errors.Is(end.Reason, errDone) || end.Bytes != int64(l.got) {
			t.Errorf("%v: %d events, farewell %v, %+v for %d bytes", l, len(v.seen), v.farewell, end, l.got)
		}
	}
}

// n is how much a client says unasked.
func n(v *viewer) int { return min(v.link.buffer, 100) }

// linger is how long a connection is kept open for a client that has not closed its side.
func linger(t *testing.T, w *world) {
	if !w.rig.Parks {
		t.Skip("net/http does it")
	}
	prompt, silent, chatty := w.watch(1<<20), w.watch(1<<20), w.watch(1<<20)
	w.settle()
	for _, v := range w.viewers {
		v.still = true
		v.link.finish(true)
	}
	synctest.Wait()
	for _, v := range w.viewers {
		if len(v.link.told()) > 0 {
			t.Fatalf("%v: closed before its client has", v.link)
		}
	}
	prompt.pull(1 << 20) // closes behind the farewell
	synctest.Wait()
	if end := w.links[prompt.i].ended(); end.Duration != 0 || !prompt.farewell {
		t.Errorf("a client that closes: %+v", end)
	}
	say(chatty.link.conn, 64<<10)
	if len(chatty.link.told()) > 0 {
		t.Error("closed at 64 KiB")
	}
	say(chatty.link.conn, 1)
	if end := chatty.link.ended(); end.Duration != 0 {
		t.Errorf("a client that talks on: %+v", end)
	}
	w.pass(time.Second - slack)
	if len(silent.link.told()) > 0 {
		t.Error("closed within the second")
	}
	w.pass(2 * slack)
	silent.link.ended()
}

func cutAtOnce(t *testing.T, w *world) {
	idle, still := w.watch(4096), w.watch(64)
	w.settle()
	still.still = true
	w.some(10, 200)
	w.settle()
	begin := time.Now()
	for _, v := range w.viewers {
		v.link.cut()
		v.link.cut()
	}
	synctest.Wait()
	for _, l := range w.links {
		if end := l.ended(); !errors.Is(end.Reason, engine.ErrCut) || time.Since(begin) != 0 {
			t.Errorf("%v: %v after %v", l, end.Reason, time.Since(begin))
		}
	}
	saw(t, idle, 10)
}

// toldOnce ends streams in several ways at a time.
func toldOnce(t *testing.T, w *world) {
	for i := range 60 {
		w.watch(1 + 40*(i%3)).still = i%2 == 0
	}
	w.settle()
	w.some(5, 50)
	var all sync.WaitGroup
	for _, l := range w.links {
		l.may(errDone, engine.ErrCut, engine.ErrPeerGone)
		for _, end := range []func(){
			func() { l.stream.Member.Cut(engine.ErrCut) },
			func() { l.stream.Member.Finish(errDone, bye("done"), true) },
			func() { l.conn.Reset() },
			l.stream.Wake, l.stream.Interrupt,
		} {
			all.Go(end)
		}
	}
	all.Wait()
	w.pass(3 * time.Second)
	for _, l := range w.links {
		l.stream.Wake()
		l.stream.Interrupt()
		l.ended()
	}
	w.pass(3 * time.Second)
}

func shutdown(t *testing.T, w *world) {
	for i := range 1000 {
		w.watch(32 + i%200)
	}
	w.settle()
	w.some(1, 100)
	for _, v := range w.viewers {
		v.link.finish(true)
	}
	w.settle()
	w.pass(2 * time.Second)
	for i, v := range w.viewers {
		if end := w.links[i].ended(); !v.farewell || len(v.seen) != 1 || !errors.Is(end.Reason, errDone) {
			t.Fatalf("%v: %d events, farewell %v, %+v", v, len(v.seen), v.farewell, end)
		}
	}
	if w.core.Stats().Members != 0 {
		t.Errorf("%d members are left", w.core.Stats().Members)
	}
}

func closeRig(t *testing.T, w *world) {
	for i := range 20 {
		w.watch(1 + 40*(i%3)).still = i%2 == 0
	}
	w.settle()
	w.some(5, 50)
	synctest.Wait()
	for i, l := range w.links {
		l.may(engine.ErrCut, engine.ErrPeerGone)
		if i%5 == 0 {
			l.finish(true) // some linger
		}
	}
	w.settle()
	w.rig.Close()
	synctest.Wait()
	for _, l := range w.links {
		l.ended()
	}
	if w.rig.Parks { // what was on its way to the engine
		late := w.watch(4096)
		if end := late.link.ended(); !errors.Is(end.Reason, engine.ErrCut) {
			t.Errorf("parked behind the end: %+v", end)
		}
	}
}

func goroutines(t *testing.T, w *world) {
	const streams = 1000
	before := runtime.NumGoroutine()
	for range streams {
		w.watch(256)
	}
	w.settle()
	w.some(1, 100)
	w.settle()
	n := runtime.NumGoroutine() - before
	if most := 2 * streams; w.rig.Parks && n > 5 || n > most {
		t.Errorf("%d goroutines for %d streams", n, streams)
	}
	for _, v := range w.viewers {
		saw(t, v, 1)
	}
}

func stats(t *testing.T, w *world) {
	if w.rig.Stats == nil {
		t.Skip("it has none")
	}
	fast, slow := w.watch(4096), w.watch(64)
	w.settle()
	slow.still = true
	w.some(5, 100)
	w.settle()
	s := w.rig.Stats()
	if s.Streams != 2 || s.Refused != 1 || s.Refusals == 0 || s.Sends < s.Refusals || s.Passes == 0 {
		t.Errorf("with one that reads and one that does not: %+v", s)
	}
	slow.still = false
	w.settle()
	bytes := int64(0)
	for _, v := range []*viewer{fast, slow} {
		bytes += int64(v.link.got - len(v.link.stream.First))
	}
	if s = w.rig.Stats(); s.Refused != 0 || s.Bytes != bytes {
		t.Errorf("when all is read: %+v, want %d bytes", s, bytes)
	}
	fast.link.leave(closing)
	if s = w.rig.Stats(); s.Streams != 1 {
		t.Errorf("with one that is left: %+v", s)
	}
}
