package fanout

import "math"

// candidate is a frame that is due to a member that wants the latest only.
type candidate struct {
	list     []entry // the one
	buf      []byte
	obsolete bool
}

// candidates lists what readers hold, in order, each frame once, and marks what a later one of them supersedes.
func candidates(rs []reader) []candidate {
	var all []candidate
	for len(rs) > 0 {
		i, _ := first(rs)
		list, buf := rs[i].take(rs[i].peek(), math.MaxInt)
		all = append(all, candidate{list: list, buf: buf})
		rs = skip(rs, list[0].pos)
	}
	newer := make(map[string][]*tag)
	for i := len(all) - 1; i >= 0; i-- {
		g := all[i].list[0].tag
		if g == nil {
			continue
		}
		for _, b := range newer[g.key] {
			if b.supersedes(g) {
				all[i].obsolete = true
				break
			}
		}
		if !all[i].obsolete {
			newer[g.key] = append(newer[g.key], g)
		}
	}
	return all
}

// newest is frames for a member that wants the latest only. An id may pass a frame that is obsolete: the one that
// supersedes it is still due.
func (m *Member) newest(out *batch, rs []reader, bound Position) step {
	count, last := 0, bound
	var skipped []Position
	for _, c := range candidates(rs) {
		e := c.list[0]
		if c.obsolete {
			skipped = append(skipped, e.pos)
			continue
		}
		if out.n >= out.limit {
			last = m.cursor
			break
		}
		out.add(c.buf)
		count++
		if out.plan != nil {
			out.plan.runs = append(out.plan.runs, c.list)
			out.plan.end = e.pos
			continue
		}
		m.cursor = e.pos
	}
	if out.plan != nil && count > 0 {
		out.plan.skipped = append(out.plan.skipped, skipped...)
		if last == bound {
			out.plan.end = bound
		}
		return stepDone
	}
	if last != bound {
		m.obsolete(skipped, m.cursor)
		m.pass(m.cursor, count)
		return stepFull
	}
	m.obsolete(skipped, bound)
	m.pass(bound, count)
	return stepDone
}

// obsolete accounts for superseded frames up to p.
func (m *Member) obsolete(list []Position, p Position) {
	n := 0
	for _, q := range list {
		if q <= p {
			n++
		}
	}
	m.skipped += int32(n)
	m.core.stats.superseded.Add(int64(n))
}

// caughtUp ends an episode of conflation.
func (m *Member) caughtUp(out *batch) {
	if m.skipped > 0 {
		out.add(m.core.cfg.Framing.AppendConflated(nil, int(m.skipped)))
	}
	m.latest, m.skipped = false, 0
}

// conflated counts what is left of what is due, and its bytes.
func (m *Member) conflated(upTo Position) (frames, bytes int) {
	rs, _ := m.readers(nil, upTo) // its caller knows that nothing is gone
	for _, c := range candidates(rs) {
		if !c.obsolete {
			frames, bytes = frames+1, bytes+len(c.buf)
		}
	}
	return frames, bytes
}
