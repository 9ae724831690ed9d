package enginetest

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/internal/park"
)

// ear is a [park.Inbound] that notes what it hears.
type ear struct {
	mu    sync.Mutex // guards what follows
	heard []byte
	calls int
	takes func(p []byte) (n int, next park.Reading) // nil to take everything
}

// OnData implements [park.Inbound].
func (e *ear) OnData(p []byte) (int, park.Reading) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	n, next := len(p), park.More
	if e.takes != nil {
		n, next = e.takes(p)
	}
	e.heard = append(e.heard, p[:n]...)
	return n, next
}

func (e *ear) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(e.heard)
}

func (e *ear) takesSo(f func(p []byte) (int, park.Reading)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.takes = f
}

// listen returns a viewer on a new connection and who hears what it says.
func (w *world) listen(t *testing.T, buffer int) (*viewer, *ear) {
	t.Helper()
	if !w.rig.Parks {
		t.Skip("nothing is read but by whoever has the connection")
	}
	e := &ear{}
	w.ears = func(*link) park.Inbound { return e }
	v := w.watch(buffer)
	w.ears = nil
	return v, e
}

// noise is n bytes no two runs of which are the same.
func noise(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return p
}

// tell has the client send p as far as it is taken.
func tell(c *memnet.Conn, p []byte) (sent int) {
	for sent < len(p) {
		k, _ := c.TryWrite(p[sent:min(len(p), sent+4096)])
		if sent += k; k == 0 {
			break
		}
		synctest.Wait()
	}
	return sent
}

func everyByte(t *testing.T, w *world) {
	for _, n := range sizes {
		v, e := w.listen(t, n)
		w.settle()
		v.still = n == 7 // what it is sent is refused
		want := noise(3000)
		for rest := want; len(rest) > 0; {
			k := tell(v.link.conn, rest[:min(len(rest), n)])
			if k == 0 {
				break
			}
			if rest = rest[k:]; len(rest)/500 != (len(rest)+k)/500 {
				w.some(1, 20)
			}
		}
		if got := e.String(); got != string(want) {
			t.Errorf("%v: heard %d bytes of %d", v, len(got), len(want))
		}
	}
	for _, v := range w.viewers {
		v.still = false
	}
	w.settle()
	for _, v := range w.viewers {
		w.complete(v)
	}
}

func earlyBytes(t *testing.T, w *world) {
	w.early = "before, "
	v, e := w.listen(t, 64)
	tell(v.link.conn, []byte("behind"))
	w.settle()
	if got := e.String(); got != "before, behind" {
		t.Errorf("heard %q", got)
	}
	w.early = string(noise(200_000))
	_, e = w.listen(t, 64)
	w.settle()
	if e.String() != w.early {
		t.Errorf("heard %d bytes of %d", len(e.String()), len(w.early))
	}
}

// takesTurns has one client say much that lies there already when another says a word.
func takesTurns(t *testing.T, w *world) {
	loud, e := w.listen(t, 4<<20)
	quiet, f := w.listen(t, 64)
	w.settle()
	before := -1
	e.takesSo(func(p []byte) (int, park.Reading) {
		if len(e.heard) == 0 { // its shard is busy here
			_, _ = quiet.link.conn.TryWrite([]byte("word"))
		}
		return len(p), park.More
	})
	f.takesSo(func(p []byte) (int, park.Reading) {
		before = len(e.String())
		return len(p), park.More
	})
	if n, err := loud.link.conn.TryWrite(noise(2 << 20)); n != 2<<20 {
		t.Fatal(n, err)
	}
	w.settle()
	if before < 0 || before > 256<<10 || len(e.String()) != 2<<20 {
		t.Errorf("%d bytes of one were read before the other was heard, %d in all", before, len(e.String()))
	}
}

func pauses(t *testing.T, w *world) {
	const buffer = 100
	v, e := w.listen(t, buffer)
	w.settle()
	want := noise(2000)
	e.takesSo(func(p []byte) (int, park.Reading) { return min(len(p), 3), park.Pause })
	sent := tell(v.link.conn, want)
	if sent > 2*buffer || e.String() != string(want[:3]) {
		t.Errorf("paused: %d bytes were taken from the peer, %q handed on", sent, e.String())
	}
	w.some(3, 50) // it is sent to meanwhile
	w.settle()
	w.complete(v)
	for len(e.String()) < 30 { // what is left of a read is offered again
		before := len(e.String())
		v.link.stream.Resume()
		synctest.Wait()
		if n := len(e.String()) - before; n > 3 || n == 0 {
			t.Fatalf("a resume handed on %d bytes", n)
		}
		sent += tell(v.link.conn, want[sent:])
	}
	e.takesSo(nil)
	v.link.stream.Resume()
	synctest.Wait()
	sent += tell(v.link.conn, want[sent:])
	if e.String() != string(want) || sent != len(want) {
		t.Errorf("resumed: heard %d bytes of %d", len(e.String()), sent)
	}
	e.takesSo(func(p []byte) (int, park.Reading) { return len(p), park.Pause })
	tell(v.link.conn, []byte("x"))
	l := v.link
	l.leave(closing)
	synctest.Wait()
	if len(l.told()) > 0 {
		t.Error("its end was read while reading was paused")
	}
	l.stream.Resume()
	synctest.Wait()
	if end := l.ended(); !errors.Is(end.Reason, engine.ErrPeerGone) {
		t.Errorf("ended with %v", end.Reason)
	}
}

// resumesFirst has the owner resume before the pause is known to who reads.
func resumesFirst(t *testing.T, w *world) {
	v, e := w.listen(t, 64)
	w.settle()
	e.takesSo(func(p []byte) (int, park.Reading) {
		v.link.stream.Resume()
		return 1, park.Pause
	})
	want := noise(500)
	if sent := tell(v.link.conn, want); sent != len(want) || e.String() != string(want) {
		t.Errorf("sent %d bytes, heard %d", sent, len(e.String()))
	}
}

func inboundDeparture(t *testing.T, w *world) {
	for _, how := range []func(*memnet.Conn){closing, halfway, breaking} {
		v, e := w.listen(t, 64)
		w.settle()
		tell(v.link.conn, []byte("last words"))
		l := v.link
		l.leave(how)
		if end := l.ended(); !errors.Is(end.Reason, engine.ErrPeerGone) || end.Duration != 0 || e.String() != "last words" {
			t.Errorf("%v after %v, heard %q", end.Reason, end.Duration, e.String())
		}
	}
}

// untilStop takes everything up to a stop.
func untilStop(p []byte) (int, park.Reading) {
	if i := bytes.IndexByte(p, '.'); i >= 0 {
		return i + 1, park.Enough
	}
	return len(p), park.More
}

func enough(t *testing.T, w *world) {
	v, e := w.listen(t, 64)
	e.takes = untilStop
	w.settle()
	tell(v.link.conn, []byte("that is all."))
	tell(v.link.conn, []byte(" Or not."))
	halfway(v.link.conn)
	w.some(5, 100)
	w.settle()
	w.pass(time.Second)
	saw(t, v, 5)
	if v.link == nil {
		t.Fatal("its end was taken for a departure")
	}
	l := v.link
	l.finish(true)
	w.settle()
	if end := l.ended(); !errors.Is(end.Reason, errDone) || !v.farewell || end.Duration != time.Second || e.String() != "that is all." {
		t.Errorf("%v after %v, farewell %v, heard %q", end.Reason, end.Duration, v.farewell, e.String())
	}
}

// enoughFromOutside is before a farewell and behind it.
func enoughFromOutside(t *testing.T, w *world) {
	w.pace.Parting = 5 * time.Second
	for _, behind := range []bool{false, true} {
		v, e := w.listen(t, 64)
		w.settle()
		tell(v.link.conn, []byte("that is all."))
		l := v.link
		if behind {
			l.finish(true)
			w.settle()
		}
		l.stream.Enough()
		w.settle()
		if !behind {
			tell(l.conn, []byte(" Or not."))
			if len(l.told()) > 0 {
				t.Fatal("it has ended without a farewell")
			}
			l.finish(true)
		}
		w.settle()
		if end := l.ended(); !errors.Is(end.Reason, errDone) || !v.farewell || end.Duration != 0 || e.String() != "that is all." {
			t.Errorf("%v after %v, farewell %v, heard %q", end.Reason, end.Duration, v.farewell, e.String())
		}
	}
}

func lateFarewell(t *testing.T, w *world) {
	w.pace.Parting = 5 * time.Second
	v, e := w.listen(t, 64)
	e.takes = untilStop
	w.settle()
	tell(v.link.conn, []byte("that is all."))
	l := v.link
	l.may(engine.ErrPeerGone)
	w.pass(5*time.Second + slack)
	if end := l.ended(); !errors.Is(end.Reason, engine.ErrPeerGone) || end.Duration < 5*time.Second {
		t.Errorf("%v after %v", end.Reason, end.Duration)
	}
}

func sayings(t *testing.T, w *world) {
	v, _ := w.listen(t, 64)
	w.settle()
	v.still = true
	w.some(3, 200)
	synctest.Wait()
	for range 50 { // amid the first event
		v.link.stream.Say([]byte(comment))
		synctest.Wait()
	}
	v.still = false
	w.settle()
	if v.comments != 1 {
		t.Errorf("%d were said, want the newest only", v.comments)
	}
	saw(t, v, 3)
	// One that is always answered still gets the rest.
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 3000 {
			v.link.stream.Say([]byte(comment))
		}
	}()
	w.some(20, 10)
	w.settle()
	<-done
	w.settle()
	saw(t, v, 23)
	if v.comments < 2 {
		t.Error("nothing was said while there was something to send")
	}
	l := v.link
	l.finish(true)
	l.stream.Say([]byte(comment)) // it may come before the farewell, and not behind it
	w.settle()
}

// partings are those in which the peer answers, does not, and leaves.
func partings(t *testing.T, w *world) {
	w.pace.Parting = 5 * time.Second
	type side struct {
		*viewer
		*ear
		l *link
	}
	var all []side
	for range 4 {
		v, e := w.listen(t, 1000)
		e.takes = untilStop
		all = append(all, side{v, e, v.link})
	}
	answers, silent, leaves, slow := all[0], all[1], all[2], all[3]
	w.settle()
	slow.takesSo(func(p []byte) (int, park.Reading) { return 0, park.Pause })
	tell(slow.l.conn, []byte("nobody has time for this"))
	slow.takesSo(untilStop)
	for _, s := range all {
		s.still = true
		s.l.finish(true)
	}
	synctest.Wait()
	var buf [1000]byte
	for i, s := range all {
		n, _ := s.l.conn.TryRead(buf[:])
		if !bytes.Contains(buf[:n], []byte("event: bye")) {
			t.Errorf("%d: no farewell in %q", i, buf[:n])
		}
		if s.l.conn.Readable() {
			t.Errorf("%d: the sending side is closed already", i)
		}
	}
	w.pass(time.Second)
	tell(answers.l.conn, []byte("and then, "))
	tell(answers.l.conn, []byte("goodbye."))
	if !answers.l.conn.Readable() || answers.ear.String() != "and then, goodbye." {
		t.Errorf("the peer's farewell came: heard %q, sending side closed: %v", answers.ear, answers.l.conn.Readable())
	}
	tell(slow.l.conn, []byte(", but for this."))
	if !slow.l.conn.Readable() || slow.ear.String() != "nobody has time for this, but for this." {
		t.Errorf("a paused one: heard %q, sending side closed: %v", slow.ear, slow.l.conn.Readable())
	}
	leaves.l.may(engine.ErrPeerGone)
	halfway(leaves.l.conn)
	synctest.Wait()
	if end := leaves.l.ended(); !errors.Is(end.Reason, errDone) || end.Duration != time.Second {
		t.Errorf("one that leaves without a word: %v after %v", end.Reason, end.Duration)
	}
	w.pass(4*time.Second - slack)
	if silent.l.conn.Readable() {
		t.Error("a silent peer is not waited for")
	}
	w.pass(2 * slack)
	if !silent.l.conn.Readable() {
		t.Error("a silent peer is waited for for ever")
	}
	w.pass(2 * time.Second)
	for i, s := range all {
		if end := s.l.ended(); !errors.Is(end.Reason, errDone) {
			t.Errorf("%d: %v", i, end.Reason)
		}
		s.viewer.link, s.l.left = nil, true
	}
}

func silence(t *testing.T, w *world) {
	w.pace.Heartbeat, w.pace.Patience = 10*time.Second, 4*time.Second
	talks, _ := w.listen(t, 1000)
	answers, _ := w.listen(t, 1000)
	mute, _ := w.listen(t, 1000)
	paused, e := w.listen(t, 1000)
	e.takes = func(p []byte) (int, park.Reading) { return len(p), park.Pause }
	tell(paused.link.conn, []byte("x"))
	l := mute.link
	l.may(park.ErrSilent)
	asked := 0
	for range 60 {
		w.some(1, 10) // that something is sent says nothing of the peer
		w.pass(time.Second)
		tell(talks.link.conn, []byte("x"))
		if n := answers.comments; n > asked {
			asked = n
			tell(answers.link.conn, []byte("x"))
		}
	}
	if talks.comments > 0 {
		t.Errorf("%d heartbeats for one that talks", talks.comments)
	}
	if n := answers.comments; n < 4 || n > 6 {
		t.Errorf("%d heartbeats in a minute for one that only answers, want one every 10 s", n)
	}
	if end := l.ended(); !errors.Is(end.Reason, park.ErrSilent) || !errors.Is(end.Reason, engine.ErrPeerGone) ||
		end.Duration < 14*time.Second || end.Duration > 14*time.Second+4*slack || mute.comments != 1 {
		t.Errorf("one that says nothing: %v after %v and %d heartbeats", end.Reason, end.Duration, mute.comments)
	}
	if paused.link == nil || paused.comments < 4 {
		t.Errorf("one that is not listened to: %d heartbeats, ended %v", paused.comments, paused.link == nil)
	}
}
