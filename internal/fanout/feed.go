package fanout

import (
	"math/bits"
	"slices"
)

// feed is what a member gets from the source, until memory can serve it.
type feed struct {
	chunk  *chunk // what came last; nil before the first
	asked  bool   // an answer is under way
	alone  bool   // what others asked for did not cover its cursor
	reason string // why the source can't serve it; "" if it can
}

// ask has the feeder bring what lies behind the cursor. With probe set the cursor is above the head, and all that matters
// is whether the source knows it.
func (m *Member) ask(probe bool) {
	if m.feed == nil {
		m.feed = new(feed)
	}
	f := m.feed
	if f.asked {
		return
	}
	f.chunk = m.core.feeder.ask(m, m.core, m.cursor, probe, f.alone)
	f.asked = f.chunk == nil
}

// fetched adds what is due in (cursor, bound] and comes from the source.
func (m *Member) fetched(out *batch, bound Position) step {
	if m.core.feeder == nil || m.closing {
		return stepFell
	}
	for {
		f := m.feed
		if f != nil && f.reason != "" {
			return stepFell
		}
		if f == nil || f.asked || f.chunk == nil || !f.chunk.covers(m.cursor) {
			if m.ask(false); m.feed.asked {
				return stepWait
			}
			continue
		}
		if f.chunk.upTo <= m.cursor { // it ends here, and says why
			f.reason = f.chunk.end
			continue
		}
		if st, done := m.serve(out, f.chunk, min(bound, f.chunk.upTo)); done || m.cursor >= bound {
			return st
		}
		if _, ok := m.readers(nil, m.cursor, bound); ok {
			return m.frames(out, bound)
		}
	}
}

// serve adds what is due in (cursor, upTo] of a chunk; it is done when nothing more may be added.
func (m *Member) serve(out *batch, ch *chunk, upTo Position) (st step, done bool) {
	count, last, through := 0, m.cursor, true
	i, end := after(ch.list, m.cursor), after(ch.list, upTo)
	for due := uint64(0); i < end; due >>= 1 {
		if due == 0 {
			if due = m.dueOf(ch, i, upTo); due == 0 {
				i += windowFrames
				continue
			}
		}
		if skip := bits.TrailingZeros64(due); skip > 0 {
			i, due = i+skip, due>>skip
		}
		if out.n >= out.limit {
			through = false
			break
		}
		first, n := int(ch.list[i].off), i+1
		for ; due&2 != 0 && int(ch.list[n].end)-first <= out.limit-out.n; due >>= 1 {
			n++
		}
		run := ch.list[i:n]
		out.add(ch.buf[first:run[len(run)-1].end:run[len(run)-1].end])
		if out.plan != nil {
			out.plan.runs = append(out.plan.runs, run)
		}
		count, last, i = count+len(run), run[len(run)-1].pos, n
	}
	if through {
		last = upTo
	}
	if out.plan != nil && count > 0 {
		out.plan.end = last
		return stepDone, true
	}
	m.pass(last, count)
	if !through {
		return stepFull, true
	}
	return stepDone, false
}

// windowFrames is how many frames of a chunk are looked at together.
const windowFrames = 64

// dueOf returns which of a chunk's frames from the i-th on are due up to a position, a bit each.
func (m *Member) dueOf(ch *chunk, i int, upTo Position) (due uint64) {
	for j := range m.subs {
		s := &m.subs[j]
		of := ch.topics[s.topic.name]
		k, _ := slices.BinarySearch(of, i)
		for ; k < len(of) && of[k] < i+windowFrames; k++ {
			if p := ch.list[of[k]].pos; p > max(s.from, m.cursor) && p <= min(upTo, s.until) {
				due |= 1 << (of[k] - i)
			}
		}
	}
	return due
}

// fed takes what the feeder brings, or the reason why it can't; neither means that it must ask for itself.
func (m *Member) fed(e *era, ch *chunk, reason string, probe bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.feed
	if f == nil || m.core != e || !f.asked {
		return
	}
	f.asked = false
	switch head := e.Head(); {
	case reason != "" && probe && m.cursor > head:
		m.misplaced(head, reason)
	case reason != "" && !probe:
		f.reason = reason
	case probe:
		m.feed = nil
	default:
		f.chunk, f.alone = ch, ch == nil
	}
	m.wake()
}

// misplaced puts a member at the head that came with a position which nobody knows.
func (m *Member) misplaced(head Position, reason string) {
	m.cursor, m.from = head, head
	for i := range m.subs {
		m.subs[i].from = min(m.subs[i].from, head)
	}
	m.drop(reason, head, 0, false)
}

// dueAtLeast is due, with what memory still has of it if the first of it is gone.
func (m *Member) dueAtLeast(upTo Position) (frames, bytes int, ok bool) {
	if frames, bytes, ok = m.due(upTo); ok || m.core.feeder == nil {
		return frames, bytes, ok
	}
	from := m.cursor
	for i := range m.subs {
		from = max(from, m.subs[i].topic.view.Load().freed)
	}
	frames, bytes, _ = m.dueBehind(from, upTo)
	return frames, bytes, false
}
