package fanout

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
	var due [chunkFrames]bool
	for i := range m.subs {
		s := &m.subs[i]
		for _, k := range ch.topics[s.topic.name] {
			p := ch.list[k].pos
			due[k] = due[k] || p > max(s.from, m.cursor) && p <= min(upTo, s.until)
		}
	}
	count, last, through := 0, m.cursor, true
	end := after(ch.list, upTo)
	for i := after(ch.list, m.cursor); i < end; {
		if !due[i] {
			i++
			continue
		}
		if out.n >= out.limit {
			through = false
			break
		}
		first := int(ch.list[i].off)
		n := i + 1
		for n < end && due[n] && int(ch.list[n].end)-first <= out.limit-out.n {
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
