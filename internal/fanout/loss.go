package fanout

import (
	"context"
	"log/slog"
	"math"
)

// fall records that the member's next frame is gone.
func (m *Member) fall(head Position) {
	reason := Expired
	if m.armed {
		reason = Lagged
	}
	if f := m.feed; f != nil && f.reason != "" {
		reason = f.reason
	}
	m.drop(reason, head, 0, false)
}

// drop moves the cursor to head and adds what is skipped to the member's loss. Who was only to be told that it
// is new has lost something then, whether its snapshot succeeds or not.
func (m *Member) drop(reason string, head Position, frames int, known bool) {
	if m.loss.reason == "" || m.loss.reason == New {
		m.loss = loss{reason: reason}
	}
	m.loss.dropped = int32(min(int(m.loss.dropped)+frames, math.MaxInt32))
	m.loss.unknown = m.loss.unknown || !known
	m.cursor = max(m.cursor, head)
	m.latest, m.skipped, m.left, m.feed = false, 0, nil, nil
}

// tell brings the member's loss forward: private frames that were queued before it, then the notice or the
// snapshot. It returns false while the snapshot is being built.
func (m *Member) tell(out *batch, head Position) bool {
	c, l := m.core, &m.loss
	if len(m.queue) > 0 && m.precedes(m.queue[0].barrier) {
		m.pop(out)
		return true
	}
	if c.cfg.Snapshot != nil {
		if l.snap == nil {
			m.request(head)
			return false
		}
		if !l.snap.done {
			return false
		}
		if l.snap.frame != nil {
			m.cursor = max(m.cursor, l.snap.notice.Position)
			m.armed = false // what came while it was built is a replay
			out.add(l.snap.frame)
			m.told(l.snap.notice)
			return true
		}
	}
	if l.reason == New {
		m.loss = loss{}
		out.add(c.cfg.Framing.AppendPosition(nil, c.epoch, m.cursor))
		return true
	}
	n := m.notice(head)
	m.cursor = max(m.cursor, head)
	m.told(n)
	out.add(c.cfg.Framing.AppendNotice(nil, n))
	return true
}

// precedes reports whether a private frame with that barrier goes out before the member's loss is told.
func (m *Member) precedes(barrier Position) bool {
	l := &m.loss
	answered := l.snap != nil && l.snap.frame != nil
	switch {
	case barrier <= m.cursor:
		return true
	case l.reason == New: // without a snapshot, what is due up to the barrier comes first
		return answered && barrier <= l.snap.notice.Position
	case l.snap != nil && !l.snap.done || answered:
		return barrier <= l.snap.notice.Position
	default:
		return true
	}
}

// told ends a loss.
func (m *Member) told(n Notice) {
	if n.Reason != New {
		m.core.stats.resyncs.Add(1)
		m.core.stats.dropped.Add(int64(n.Dropped))
	}
	m.loss = loss{}
}

// notice is what a member is told that goes on from head.
func (m *Member) notice(head Position) Notice {
	n := Notice{Reason: m.loss.reason, Epoch: m.core.epoch, Position: head, Stamped: true}
	if frames, _, ok := m.due(head); ok && !m.loss.unknown {
		n.Dropped = int(m.loss.dropped) + frames
	}
	return n
}

// request has the snapshot built, as of head or later.
func (m *Member) request(head Position) {
	c := m.core
	m.asked++
	q, n := m.asked, m.notice(head)
	m.loss.snap = &snapshot{notice: n}
	ok := c.callbacks.run("Snapshot", func() {
		ctx, cancel := context.WithTimeout(context.Background(), c.cfg.SnapshotTimeout)
		defer cancel()
		stop := context.AfterFunc(ctx, func() { m.answer(q, nil) })
		defer stop()
		body, err := c.cfg.Snapshot(ctx, m.owner, n)
		if err != nil {
			c.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "snapshot failed", slog.Any("error", err))
			m.answer(q, nil)
			return
		}
		m.answer(q, append(c.cfg.Framing.AppendStamp(make([]byte, 0, c.maxStamp+len(body)), n.Epoch, n.Position), body...))
	}, func() { m.Finish(ErrPanicked, nil, false) })
	if !ok {
		m.loss.snap.done = true
		m.wake()
	}
}

// answer takes the frame for question q, nil if there is none; a late one is ignored.
func (m *Member) answer(q int32, frame []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.loss.snap; s != nil && !s.done && q == m.asked {
		s.done, s.frame = true, frame
		m.wake()
	}
}

// judge decides whether the member, whose transport refuses bytes, is slow.
func (m *Member) judge() {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.core
	if c == nil || m.over || m.closing || m.removed || m.blockedFrom.Load() == 0 {
		return
	}
	// What a snapshot was asked for with stays as it is until it is told.
	if m.loss.snap != nil {
		return
	}
	head := c.Head()
	frames, bytes, ok := m.dueAtLeast(head)
	switch {
	case !ok && (c.feeder == nil || m.loss.reason != "" || m.latest):
		m.fall(head)
	case !ok && !m.armed: // it replays from the source
	case ok && (m.within(frames, bytes) || m.latest && m.conflates(head)):
		m.armed = m.armed || !m.latest
	case m.loss.reason != "" || m.latest:
		m.drop(Lagged, head, frames, true)
	case !m.armed || m.deciding:
	case c.cfg.OnSlow == nil:
		m.drop(Lagged, head, frames, ok)
	default:
		m.deciding = c.callbacks.run("OnSlow",
			func() { m.verdict(c.cfg.OnSlow(m.owner, Lag{Frames: frames, Bytes: bytes})) },
			func() { m.Finish(ErrPanicked, nil, false) })
	}
}

func (m *Member) within(frames, bytes int) bool {
	return frames <= m.core.cfg.SubscriberBuffer && bytes <= m.core.cfg.MaxLagBytes
}

// verdict carries out what OnSlow said, and tells of an eviction.
func (m *Member) verdict(v Verdict) {
	if lag, done := m.carryOut(v); done && (v == Remove || v == Close) && m.core.cfg.Evicted != nil {
		m.core.cfg.Evicted(m.owner, v, lag)
	}
}

// carryOut does what OnSlow said, unless the member has recovered or was dropped meanwhile.
func (m *Member) carryOut(v Verdict) (lag Lag, done bool) {
	farewell := m.owner.Farewell(ErrSlow)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deciding = false
	c := m.core
	if m.over || m.closing || m.removed || m.loss.reason != "" || m.blockedFrom.Load() == 0 {
		return Lag{}, false
	}
	head := c.Head()
	frames, bytes, ok := m.dueAtLeast(head)
	if !ok && (c.feeder == nil || !m.armed) || ok && m.within(frames, bytes) {
		return Lag{}, false
	}
	switch v {
	case Remove:
		m.removed = true
		c.stats.removed.Add(1)
		c.stats.dropped.Add(int64(frames))
		m.enqueue(c.cfg.Framing.AppendNotice(nil, Notice{Reason: Removed, Dropped: frames}))
	case Close:
		c.stats.closed.Add(1)
		m.closing, m.reason, m.farewell, m.closeAt = true, ErrSlow, farewell, m.cursor
		m.wakeSenders()
	case CatchUp:
		m.armed = false
	case Latest:
		m.armed, m.latest = false, true
	default:
		m.drop(Lagged, head, frames, ok)
	}
	m.wake()
	return Lag{Frames: frames, Bytes: bytes}, true
}
