package fanout

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// conn is a simulated connection and the driver of its member: a kernel buffer of few bytes, partial writes,
// whole frames on one side, bytes on the other. It is the member's owner too.
type conn struct {
	w      *world
	client *client
	member *Member
	room   int  // of the kernel's buffer
	limit  int  // of one Next
	plans  bool // takes frames as the kernel takes bytes, by Plan and Commit
	plan   Plan

	woken    atomic.Bool
	status   Status
	pending  []byte // taken from the member, not by the kernel
	kernel   []byte // taken by the kernel, not by the client
	refusing bool   // the kernel refused bytes, as far as the driver knows
	starved  bool   // it took nothing of a plan
	ended    bool

	// What the oracle holds against the core.
	at       Position // newest id that went to the wire
	within   bool     // was once within the lag limits
	refused  bool     // the kernel ever refused bytes
	mayDrop  bool     // a drop of a slow member is due
	latest   bool     // a verdict to conflate was carried out, and it has not caught up
	mayFail  bool     // even what conflation leaves may be too much
	mayTell  string   // the reason that opening has to give
	removed  bool     // a verdict to remove it was carried out
	missing  int      // what was due then
	accepted []int    // private frames that have to arrive
	ask      *lagAsk
	snaps    []*snapAsk
	late     bool // opened behind its first bytes
	finished bool // by the world, with a farewell
}

type lagAsk struct {
	lag    Lag
	answer chan Verdict
}

type snapAsk struct {
	notice Notice
	answer chan bool // false fails
}

func (c *conn) Wake()                 { c.woken.Store(true) }
func (c *conn) Interrupt()            { c.woken.Store(true) }
func (c *conn) Farewell(error) []byte { return []byte("event: bye\ndata: slow\n\n") }
func (c *conn) Lost(n int) []byte     { return fmt.Appendf(nil, "event: lost\ndata: %d\n\n", n) }

// flush gives the kernel what it takes and reports whether that was all.
func (c *conn) flush() bool {
	if c.starved && len(c.kernel) == c.room {
		return false
	}
	c.starved = false
	n := min(len(c.pending), c.room-len(c.kernel))
	c.kernel = append(c.kernel, c.pending[:n]...)
	c.pending = c.pending[n:]
	c.refusing = len(c.pending) > 0
	switch {
	case c.refusing:
		c.refused = true
		c.member.Blocked(time.Now().UnixNano())
	case c.w.fault == faultStuckBlocked && c.refused:
		c.member.Blocked(time.Now().UnixNano())
	default:
		c.member.Blocked(0)
	}
	return !c.refusing
}

// pass does what a driver does when it is woken or may write again.
func (c *conn) pass() {
	for !c.ended && c.flush() {
		if c.status == Finished {
			c.end(nil)
			return
		}
		if c.status == Idle && !c.woken.Swap(false) {
			return
		}
		if c.w.fault.now(faultLoseWake, c.w) && c.status == Idle {
			return
		}
		var text []byte
		text, c.status = c.gather()
		c.w.log("client %d gathers %q, status %d", c.client.i, text, c.status)
		c.send(text)
		if c.status == Idle && c.member.loss.reason == "" {
			c.latest, c.mayFail = false, false
		}
	}
}

// gather takes whole frames from the member.
func (c *conn) gather() ([]byte, Status) {
	if !c.plans {
		bufs, st := c.member.Next(nil, c.limit)
		return slices.Concat(bufs...), st
	}
	st := c.member.Plan(&c.plan, c.limit)
	text, size := slices.Concat(c.plan.Bufs...), c.plan.Size
	n := min(size, c.room-len(c.kernel))
	rest, _ := c.member.Commit(&c.plan, n)
	if c.starved = n == 0 && size > 0 && len(rest) == 0; c.starved {
		c.refusing, c.refused = true, true
		c.member.Blocked(time.Now().UnixNano())
	}
	if n < size && st == Idle {
		st = More // what was planned is due again
	}
	return append(text[:n:n], rest...), st
}

// send scans whole frames, lets the fault have its way, judges and queues them.
func (c *conn) send(text []byte) {
	if len(text) == 0 && c.w.fault != faultAlwaysResync {
		return
	}
	frames := bytes.SplitAfter(text, []byte("\n\n"))
	if n := len(frames) - 1; len(frames[n]) == 0 {
		frames = frames[:n]
	}
	for _, f := range frames {
		c.w.account(f)
	}
	for _, f := range c.w.fault.spoil(c, frames) {
		c.judge(f)
		c.pending = append(c.pending, f...)
	}
}

// judge checks at the wire what the client can't know.
func (c *conn) judge(frame []byte) {
	b, err := parseBlock(string(bytes.TrimSuffix(frame, []byte("\n\n"))))
	if err != nil {
		return // the client will see it
	}
	if b.kind == kindResync || b.kind == kindSnap {
		c.justify(b)
		c.mayDrop, c.mayTell, c.latest, c.mayFail = false, "", false, false
		c.within = c.within && b.kind != kindSnap
	}
	if b.id != "" {
		c.at = b.pos
		if c.mayTell == New {
			c.mayTell = "" // its snapshot failed: a position is all it gets
		}
	}
}

// justify fails when there is no reason for a notice.
func (c *conn) justify(b block) {
	w := c.w
	gone := w.gone(c)
	switch {
	case b.reason == Removed:
		if !c.removed {
			w.fail("client %d: removed without a verdict", c.client.i)
		} else if b.n != c.missing {
			w.fail("client %d: removed with %d due, told %d", c.client.i, c.missing, b.n)
		}
	case b.reason == Lagged && !c.mayDrop && !c.mayFail && !gone:
		w.fail("client %d: lagged, but nothing is gone and no verdict said so (at %d, head %d)", c.client.i, c.at, w.core.Head())
	case b.reason == Lagged && b.n == 0 && !gone:
		w.fail("client %d: lagged with 0 dropped, but the logs reach back", c.client.i)
	case b.reason == Expired && c.mayTell != Expired && !gone:
		w.fail("client %d: expired, but nothing is gone (at %d, head %d)", c.client.i, c.at, w.core.Head())
	case (b.reason == Restarted || b.reason == UnknownID || b.reason == New) && c.mayTell != b.reason:
		w.fail("client %d: notice %q, opened with %q", c.client.i, b.reason, c.mayTell)
	case b.reason == Private:
		w.fail("client %d: notice %q of a core", c.client.i, b.reason)
	}
}

func (c *conn) heartbeat() {
	if c.ended || c.status == Finished {
		return
	}
	if c.w.fault == faultBlindHeartbeat && !c.removed {
		c.send(textFraming{}.AppendPosition(nil, c.w.core.Epoch(), c.w.core.Head()))
		return
	}
	c.send(c.member.Heartbeat())
}

func (c *conn) end(reason error) {
	if !c.ended {
		c.ended = true
		c.member.End(reason)
	}
}

// observe notes what the pump may hold against the member right now.
func (c *conn) observe(judged bool) {
	w := c.w
	if c.ended || c.removed {
		return
	}
	frames, size := w.due(c)
	over := frames > w.cfg.SubscriberBuffer || size > w.cfg.MaxLagBytes
	if !over {
		c.within = true
	}
	c.mayFail = c.mayFail || judged && over && c.refusing && c.latest
	if judged && over && c.refusing && c.within && (w.cfg.OnSlow == nil || c.mayTell == New) {
		c.mayDrop = true
	}
}

// asked checks a question of OnSlow that has just come.
func (c *conn) asked() {
	w := c.w
	if c.ask == nil || c.ask.lag.Frames < 0 {
		return
	}
	frames, size := w.due(c)
	switch lag := c.ask.lag; {
	case !c.refusing:
		w.fail("client %d: slow, but the kernel takes its bytes", c.client.i)
	case !c.within:
		w.fail("client %d: slow, but it never was within the limits", c.client.i)
	case frames <= w.cfg.SubscriberBuffer && size <= w.cfg.MaxLagBytes:
		w.fail("client %d: slow with %d frames, %d bytes due", c.client.i, frames, size)
	case lag.Frames != frames || lag.Bytes != size:
		w.fail("client %d: lag %+v, want %d frames, %d bytes", c.client.i, lag, frames, size)
	}
	c.ask.lag.Frames = -1
}

// verdict answers OnSlow.
func (c *conn) verdict(v Verdict) {
	w := c.w
	frames, size := w.due(c)
	w.log("client %d verdict %d with %d frames, %d bytes due, refusing %v", c.client.i, v, frames, size, c.refusing)
	over := frames > w.cfg.SubscriberBuffer || size > w.cfg.MaxLagBytes
	alive := !c.ended && !c.finished && c.refusing && over && !c.mayDrop && c.mayTell == "" && !w.freed(c)
	if alive {
		switch v {
		case Drop:
			c.mayDrop = true
		case Remove:
			c.removed, c.missing = true, frames
			w.dropped += int64(frames)
		case CatchUp:
			c.within = false
		case Latest:
			c.within, c.latest, c.client.conflate = false, true, true
		case Close:
		}
	}
	c.ask.answer <- v
	c.ask = nil
}

// answer lets one question that waits come back: a verdict first, else a snapshot.
func (c *conn) answer(v Verdict, snapshot bool) {
	switch {
	case c.ask != nil:
		c.verdict(v)
	case len(c.snaps) > 0:
		a := c.snaps[0]
		c.snaps = c.snaps[1:]
		c.w.log("client %d snapshot as of %d: %v", c.client.i, a.notice.Position, snapshot)
		a.answer <- snapshot
	}
}
