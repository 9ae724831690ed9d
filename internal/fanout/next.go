package fanout

import (
	"math"
	"slices"
)

// Status is what [Member.Next] says of what comes after.
type Status int

const (
	// Idle means that nothing is due until the driver is woken.
	Idle Status = iota
	// More means that the limit was reached: call again after sending.
	More
	// Finished means that nothing comes behind what was returned: send it and call End.
	Finished
)

// batch is what one call of Next gathers.
type batch struct {
	bufs  [][]byte
	n     int // bytes
	limit int
	plan  *Plan // nil for Next
}

func (b *batch) add(p []byte) {
	if len(p) == 0 {
		return
	}
	b.bufs = append(b.bufs, p)
	b.n += len(p)
}

// full reports whether nothing more may be added: a plan is frames of logs or one other frame.
func (b *batch) full() bool { return b.n >= b.limit || b.plan != nil && b.n > 0 }

// Next appends to bufs what is due now, whole frames in order, and stops at or just behind limit bytes. What it
// returns is immutable; it is sent completely before Next is called again. A pass is a series of calls until
// the status is not More.
func (m *Member) Next(bufs [][]byte, limit int) ([][]byte, Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := batch{bufs: bufs, limit: limit}
	st := m.next(&out)
	m.look()
	return out.bufs, st
}

// look tells publishers how far the member is.
func (m *Member) look() {
	if m.removed || m.closing || m.loss.reason != "" || m.feed != nil {
		m.seen.Store(uint64(forever))
	} else {
		m.seen.Store(uint64(m.cursor))
	}
}

func (m *Member) next(out *batch) Status {
	if m.cut || m.over {
		return Finished
	}
	var head Position
	if m.core != nil {
		head = m.core.Head()
	}
	if m.announce && m.loss.reason == "" && !m.closing {
		m.announce = false
		out.add(m.core.cfg.Framing.AppendPosition(nil, m.core.epoch, m.cursor))
	}
	for !out.full() {
		if m.loss.reason != "" && !m.closing {
			if !m.tell(out, head) {
				return Idle
			}
			continue
		}
		before := out.n
		did := m.frames(out, m.bound(head))
		if out.plan == nil && out.n > before { // a plan's are counted when they are committed
			m.core.stats.bytes.Add(int64(out.n - before))
		}
		switch did {
		case stepFull:
			return More
		case stepFell:
			if m.closing {
				m.closeAt = m.cursor // it comes back with its old position and is told then
			} else {
				m.fall(head)
			}
			continue
		case stepWait:
			return Idle
		case stepDone:
		}
		if out.full() {
			break
		}
		switch {
		case len(m.queue) > 0:
			m.pop(out)
		case m.lost > 0:
			m.tellLost(out, int(m.lost))
			m.lost = 0
		case m.closing:
			if m.farewell != nil {
				out.add(m.farewell)
				m.farewell = nil
			}
			return Finished
		case m.latest:
			m.caughtUp(out)
		default:
			m.armed = true
			return Idle
		}
	}
	return More
}

// Step is Next for a reader without a wire: it returns the next frame, or a notice, and More; or neither.
func (m *Member) Step() (frame []byte, n *Notice, st Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut || m.over {
		return nil, nil, Finished
	}
	head := m.core.Head()
	if m.loss.reason == New {
		m.loss = loss{}
	}
	for m.loss.reason == "" {
		out := batch{limit: 1}
		did := m.frames(&out, m.bound(head))
		switch {
		case len(out.bufs) > 0: // whatever comes after
			m.core.stats.bytes.Add(int64(out.n))
			return out.bufs[0], nil, More
		case did == stepFell:
			if m.closing && m.core.feeder != nil {
				return nil, nil, Finished // it comes back with its old position
			}
			m.fall(head)
			continue
		case did == stepWait:
			return nil, nil, Idle
		}
		if len(m.queue) > 0 {
			m.pop(&out)
			return out.bufs[0], nil, More
		}
		if m.closing {
			return nil, nil, Finished
		}
		m.armed = true
		return nil, nil, Idle
	}
	notice := m.notice(head)
	m.cursor = max(m.cursor, head)
	m.told(notice)
	return nil, &notice, More
}

// bound is how far frames may go before something else has its turn.
func (m *Member) bound(head Position) Position {
	b := head
	if m.closing {
		if b = m.closeAt; m.loss.reason != "" {
			b = m.cursor
		}
	}
	if len(m.queue) > 0 {
		b = min(b, m.queue[0].barrier)
	}
	return b
}

type step int

const (
	stepDone step = iota // everything up to the bound is out, the cursor stands there
	stepFull             // the limit was reached first
	stepFell             // the next frame is gone
	stepWait             // the next frame comes from the source, which wakes the driver
)

// frames adds what is due in (cursor, bound].
func (m *Member) frames(out *batch, bound Position) step {
	if m.core == nil || m.removed || bound <= m.cursor {
		return stepDone
	}
	var few [8]reader
	rs, ok := m.readers(few[:0], m.cursor, bound)
	if !ok {
		return m.fetched(out, bound)
	}
	m.feed = nil
	if m.latest {
		return m.newest(out, rs, bound)
	}
	count, last := 0, m.cursor
	for len(rs) > 0 && out.n < out.limit {
		i, upTo := first(rs)
		list, p := rs[i].take(upTo, out.limit-out.n)
		last = list[len(list)-1].pos
		count += len(list)
		out.add(p)
		if out.plan != nil {
			out.plan.runs = append(out.plan.runs, list)
		}
		rs = skip(rs, last)
	}
	if len(rs) == 0 {
		last = bound
	}
	if out.plan != nil && count > 0 {
		out.plan.end = last // Commit goes there
		return stepDone
	}
	m.pass(last, count)
	if len(rs) > 0 {
		return stepFull
	}
	return stepDone
}

// pass moves the cursor behind frames that were handed over.
func (m *Member) pass(p Position, frames int) {
	m.core.stats.delivered.Add(int64(frames))
	m.cursor = max(m.cursor, p)
	if m.leaving == 0 {
		return
	}
	m.subs = slices.DeleteFunc(m.subs, func(s sub) bool { return s.until <= m.cursor })
	m.leaving = 0
	for _, s := range m.subs {
		if s.until != forever {
			m.leaving++
		}
	}
}

// readers appends one reader for each topic that has something due in (cursor, bound], for this or a later cursor; it
// is not ok when the first of that is gone.
func (m *Member) readers(rs []reader, cursor, bound Position) (_ []reader, ok bool) {
	for i := range m.subs {
		s := &m.subs[i]
		from, upTo := max(cursor, s.from), min(bound, s.until)
		if from >= upTo || Position(s.topic.last.Load()) <= from {
			continue
		}
		v := s.topic.view.Load()
		if v.freed > from {
			return rs, false
		}
		if r := newReader(v, from, upTo, m.window); r.more() {
			rs = append(rs, r)
		}
	}
	return rs, true
}

// reader walks the frames of one log in (from, upTo].
type reader struct {
	segs   []*segment
	face   *segment // the wording of segs[0] that is read
	list   []entry  // its published entries
	at     int      // next entry
	upTo   Position
	window uint8
}

func newReader(v *view, from, upTo Position, window uint8) reader {
	segs := v.segs
	for len(segs) > 1 && segs[1].published()[0].pos <= from {
		if n := len(segs) / 2; segs[n].published()[0].pos <= from {
			segs = segs[n:]
		} else {
			segs = segs[1:]
		}
	}
	r := reader{segs: segs, upTo: upTo, window: window}
	if len(segs) > 0 {
		r.face = segs[0].wording(window)
		r.list = r.face.published()
		r.at = after(r.list, from)
	}
	return r
}

// more reports whether there is a next entry, and goes on to the segment that holds it.
func (r *reader) more() bool {
	for r.at == len(r.list) {
		if len(r.segs) < 2 {
			return false
		}
		r.segs = r.segs[1:]
		r.face = r.segs[0].wording(r.window)
		r.list, r.at = r.face.published(), 0
	}
	return r.list[r.at].pos <= r.upTo
}

func (r *reader) peek() Position { return r.list[r.at].pos }

// take returns the next entries up to position upTo that are contiguous, one at least, and else no more than
// limit bytes, with their bytes.
func (r *reader) take(upTo Position, limit int) (list []entry, p []byte) {
	list = r.list[r.at:]
	upTo = min(upTo, r.upTo)
	n := 1
	if list[len(list)-1].pos <= upTo {
		n = len(list)
	} else if k := after(list, upTo); k > 1 {
		n = k
	}
	if int(list[n-1].end-list[0].off) > limit {
		n = max(1, afterOffset(list[:n], int(list[0].off)+limit))
	}
	r.at += n
	return list[:n], r.face.buf[list[0].off:list[n-1].end:list[n-1].end]
}

// afterOffset returns how many entries end at or before an offset.
func afterOffset(list []entry, end int) int {
	n, _ := slices.BinarySearchFunc(list, end, func(e entry, end int) int {
		if int(e.end) <= end {
			return -1
		}
		return 1
	})
	return n
}

// first returns the reader with the lowest next position and how far it may go before another has its turn.
func first(rs []reader) (i int, upTo Position) {
	upTo = math.MaxUint64
	for j := 1; j < len(rs); j++ {
		if p := rs[j].peek(); p < rs[i].peek() {
			i = j
		}
	}
	for j := range rs {
		if j != i {
			upTo = min(upTo, max(rs[j].peek(), 1)-1)
		}
	}
	return i, upTo
}

// skip moves readers past a position that was sent, and drops those that are through.
func skip(rs []reader, sent Position) []reader {
	left := rs[:0]
	for i := range rs {
		if advance(&rs[i], sent) {
			left = append(left, rs[i])
		}
	}
	return left
}

func advance(r *reader, sent Position) bool {
	for r.more() {
		if r.peek() > sent {
			return true
		}
		r.at++
	}
	return false
}

// due counts the distinct frames, and their bytes, that are due in (cursor, upTo]; it is not ok when the first of them
// is gone.
func (m *Member) due(upTo Position) (frames, bytes int, ok bool) { return m.dueBehind(m.cursor, upTo) }

// dueBehind is due for this or a later cursor.
func (m *Member) dueBehind(cursor, upTo Position) (frames, bytes int, ok bool) {
	if m.core == nil || m.removed {
		return 0, 0, true
	}
	var few [8]reader
	rs, ok := m.readers(few[:0], cursor, upTo)
	if !ok {
		return 0, 0, false
	}
	for len(rs) > 0 {
		i, end := first(rs)
		list, p := rs[i].take(end, math.MaxInt)
		frames, bytes = frames+len(list), bytes+len(p)
		rs = skip(rs, list[len(list)-1].pos)
	}
	return frames, bytes, true
}
