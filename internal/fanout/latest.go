package fanout

// candidate is a frame that is due to a member that wants the latest only.
type candidate struct {
	segment  *segment
	at       int32 // its entry
	obsolete bool
}

// frame is the candidate as [reader.take] would return it.
func (c candidate) frame() (list []entry, buf []byte) {
	list = (*c.segment.entries.Load())[c.at : c.at+1]
	return list, c.segment.buf[list[0].off:list[0].end:list[0].end]
}

// candidates lists what readers hold, in order, each frame once, and marks what a later one of them supersedes.
func candidates(rs []reader) []candidate {
	most := 0
	for i := range rs {
		for _, s := range rs[i].segs {
			most += int(s.n.Load())
		}
	}
	all := make([]candidate, 0, most)
	for len(rs) > 0 {
		i, _ := first(rs)
		all = append(all, candidate{segment: rs[i].face, at: int32(rs[i].at)})
		p := rs[i].peek()
		rs[i].at++
		rs = skip(rs, p)
	}
	newer := make(map[string][]*tag)
	for i := len(all) - 1; i >= 0; i-- {
		list, _ := all[i].frame()
		g := list[0].tag
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
		list, buf := c.frame()
		at := list[0].pos
		if c.obsolete {
			skipped = append(skipped, at)
			continue
		}
		if out.n >= out.limit {
			last = m.cursor
			break
		}
		out.add(buf)
		count++
		if out.plan != nil {
			out.plan.runs = append(out.plan.runs, list)
			out.plan.end = at
			continue
		}
		m.cursor = at
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
	m.latest, m.skipped, m.left = false, 0, nil
}

// left is what a look found not to be obsolete of what was due up to a position.
type left struct {
	upTo          Position
	frames, bytes int
}

// conflates reports whether what is not obsolete of what is due is within the limits. It looks at all of that only if
// it has to: no more can be left than the last look found, and all that has come since.
func (m *Member) conflates(head Position) bool {
	if l := m.left; l != nil {
		frames, bytes, ok := m.dueBehind(max(m.cursor, l.upTo), head)
		if ok && m.within(l.frames+frames, l.bytes+bytes) {
			return true
		}
	}
	m.left = m.conflated(head)
	return m.within(m.left.frames, m.left.bytes)
}

// conflated counts what is left of what is due, and its bytes.
func (m *Member) conflated(upTo Position) *left {
	l := &left{upTo: upTo}
	rs, _ := m.readers(nil, m.cursor, upTo) // its caller knows that nothing is gone
	for _, c := range candidates(rs) {
		if !c.obsolete {
			_, buf := c.frame()
			l.frames, l.bytes = l.frames+1, l.bytes+len(buf)
		}
	}
	return l
}
