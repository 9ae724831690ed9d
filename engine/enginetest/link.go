package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/memnet"
)

var (
	errDone = errors.New("finished by its owner")
	errOld  = errors.New("reached its age")
)

// link is one connection of a viewer, and the owner of its member.
type link struct {
	v      *viewer
	conn   *memnet.Conn
	stream *Stream
	buffer int

	ends     []engine.End
	endedAt  time.Time
	asked    int  // OnSlow
	latest   bool // a verdict said so
	allowed  []error
	accepted []int // private frames that have to arrive
	finished bool  // by its owner, with a farewell
	left     bool  // by the client, which looks at it no more
	turned   bool  // away by net/http, whose request ended amid its head: what comes is no stream
	checked  bool
	got      int       // bytes of the stream that the client has read
	read     time.Time // when it last did so before the end
}

func (l *link) String() string {
	return fmt.Sprintf("%v on a connection of %d bytes", l.v, l.buffer)
}

// Farewell implements [fanout.Owner].
func (l *link) Farewell(error) []byte { return bye("slow") }

// Lost implements [fanout.Owner].
func (l *link) Lost(n int) []byte { return fmt.Appendf(nil, "event: lost\ndata: %d\n\n", n) }

// slow is what OnSlow answers.
func (l *link) slow() fanout.Verdict {
	w := l.v.w
	w.mu.Lock()
	l.asked++
	f := w.verdict
	w.mu.Unlock()
	verdict := fanout.Drop
	if f != nil {
		verdict = f(l)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch verdict {
	case fanout.Close:
		l.allowed = append(l.allowed, fanout.ErrSlow)
	case fanout.Latest:
		l.latest = true
	default:
	}
	return verdict
}

// may notes reasons for which it may end.
func (l *link) may(reasons ...error) {
	l.v.w.mu.Lock()
	defer l.v.w.mu.Unlock()
	l.allowed = append(l.allowed, reasons...)
}

// OnAge implements [park.Owner].
func (l *link) OnAge() { l.stream.Member.Finish(errOld, bye("old"), true) }

// OnEnd implements [park.Owner].
func (l *link) OnEnd(e engine.End) {
	l.v.w.mu.Lock()
	defer l.v.w.mu.Unlock()
	l.ends, l.endedAt = append(l.ends, e), time.Now()
}

// told returns the ends that its owner was told of.
func (l *link) told() []engine.End {
	l.v.w.mu.Lock()
	defer l.v.w.mu.Unlock()
	return slices.Clone(l.ends)
}

// check looks at how it ended, if it has.
func (l *link) check() {
	w, ends := l.v.w, l.told()
	if len(ends) > 1 {
		w.fail("%v: ended %d times", l, len(ends))
	}
	if len(ends) == 0 || l.checked {
		return
	}
	l.checked = true
	e := ends[0]
	select {
	case <-l.stream.Member.Ended():
	default:
		w.fail("%v: ended, its member did not", l)
	}
	w.mu.Lock()
	ok := slices.ContainsFunc(l.allowed, func(r error) bool { return errors.Is(e.Reason, r) })
	at, quiet, stalled := l.endedAt, l.endedAt.Sub(l.read), l.mayStall(e)
	w.mu.Unlock()
	switch {
	case ok:
	case errors.Is(e.Reason, engine.ErrStalled) && stalled:
	case errors.Is(e.Reason, errOld) && e.Duration >= l.stream.Parking.MaxAge && l.stream.Parking.MaxAge > 0:
	default:
		w.fail("%v: ended with %v after %v, %v after its last read", l, e.Reason, e.Duration, quiet)
	}
	if e.Duration != at.Sub(l.stream.Parking.Born) && w.rig.Parks {
		w.fail("%v: ended after %v, told %v", l, at.Sub(l.stream.Parking.Born), e.Duration)
	}
	if e.Bytes < int64(l.got) {
		w.fail("%v: read %d bytes, %d were counted", l, l.got, e.Bytes)
	}
}

// mayStall reports whether it can have been ended for a lack of progress. Where a goroutine writes, or the opening is
// sent, a piece of up to 16 KiB has to be accepted for progress. The world is locked.
func (l *link) mayStall(e engine.End) bool {
	limit := l.stream.Parking.MaxStall
	if !l.v.w.rig.Parks || e.Bytes < int64(len(l.stream.First)) {
		return e.Duration >= limit
	}
	return l.endedAt.Sub(l.read) >= limit
}

// ended returns its end, or fails the test.
func (l *link) ended() engine.End {
	l.v.w.t.Helper()
	ends := l.told()
	if len(ends) != 1 {
		l.v.w.t.Fatalf("%v: %d ends, want one", l, len(ends))
	}
	return ends[0]
}

// send sends a private frame.
func (l *link) send() {
	w := l.v.w
	n := len(w.barriers) + 1
	w.barriers[n] = w.core.Head()
	switch err := l.stream.Member.Send(privateBody(n)); {
	case err == nil:
		l.accepted = append(l.accepted, n)
	case errors.Is(err, fanout.ErrQueueFull):
		l.stream.Member.Lose()
	case !errors.Is(err, fanout.ErrEnded):
		w.fail("send: %v", err)
	}
}

// finish has its owner end it with a farewell.
func (l *link) finish(due bool) {
	l.finished = true
	l.may(errDone)
	l.stream.Member.Finish(errDone, bye("done"), due)
}

func (l *link) cut() {
	l.may(engine.ErrCut)
	l.stream.Member.Cut(engine.ErrCut)
}

// leave is the client's end of it: how is what it does to the connection.
func (l *link) leave(how func(*memnet.Conn)) {
	l.may(engine.ErrPeerGone)
	how(l.conn)
	l.left = true
	l.v.link = nil
	synctest.Wait()
}

func closing(c *memnet.Conn)  { _ = c.Close() }
func halfway(c *memnet.Conn)  { _ = c.CloseWrite() }
func breaking(c *memnet.Conn) { c.Reset() }
