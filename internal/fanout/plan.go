package fanout

import "bytes"

// Plan is what a driver may send that can't know how much of it will go out: [Member.Plan] fills it, and after the
// send [Member.Commit] takes what went. It is used again for other members.
type Plan struct {
	// Bufs are whole frames, in order: frames of logs, or one other frame.
	Bufs [][]byte
	// Size is how many bytes they are.
	Size int

	core    *era       // in which it was made
	skipped []Position // frames before them that are obsolete
	runs    [][]entry  // those of each of Bufs; none if it is another frame
	end     Position   // where the cursor goes with all of them
}

// Plan fills p with what is due now and stops at or just behind limit bytes. Frames of logs are still due until they
// are committed. Between Plan and Commit nobody calls Plan, Next or Heartbeat.
func (m *Member) Plan(p *Plan, limit int) Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.core, p.runs, p.skipped = m.core, p.runs[:0], p.skipped[:0]
	out := batch{bufs: p.Bufs[:0], limit: limit, plan: p}
	st := m.next(&out)
	p.Bufs, p.Size = out.bufs, out.n
	m.look()
	return st
}

// Commit takes the first n bytes of p as sent. If they end inside a frame, that frame counts as sent, and what is left
// of it is returned: it goes out before anything else. Whatever is behind it is due again. idle means that nothing is due
// then, until the driver is woken. p refers to nothing after.
func (m *Member) Commit(p *Plan, n int) (rest []byte, idle bool) {
	defer func() {
		clear(p.Bufs)
		clear(p.runs)
		p.core, p.Bufs, p.runs, p.skipped, p.Size = nil, p.Bufs[:0], p.runs[:0], p.skipped[:0], 0
	}()
	if len(p.Bufs) == 0 {
		return nil, false
	}
	if len(p.runs) == 0 {
		return p.Bufs[0][n:], false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.look()
	sent := n
	defer func() { m.core.stats.bytes.Add(int64(sent + len(rest))) }()
	if n == p.Size {
		frames := 0
		for _, list := range p.runs {
			frames += len(list)
		}
		m.committed(p, p.end, frames)
		return nil, m.idle()
	}
	frames, at := 0, Position(0)
	for i, list := range p.runs {
		buf := p.Bufs[i]
		if n >= len(buf) {
			n -= len(buf)
			frames += len(list)
			at = list[len(list)-1].pos
			continue
		}
		first := int(list[0].off)
		k := afterOffset(list, first+n)
		if k > 0 {
			at = list[k-1].pos
		}
		if begun := int(list[k].off) - first; n > begun {
			at = list[k].pos
			rest = buf[n : int(list[k].end)-first]
			if len(rest) <= AloneAbove {
				rest = bytes.Clone(rest) // the log must not be kept by who waits
			}
			k++
		}
		frames += k
		break
	}
	m.committed(p, at, frames)
	return rest, false
}

// committed moves the cursor behind what was sent of a plan, unless its positions are of another epoch by now.
func (m *Member) committed(p *Plan, at Position, frames int) {
	if p.core != m.core {
		m.core.stats.delivered.Add(int64(frames))
		return
	}
	m.obsolete(p.skipped, at)
	m.pass(at, frames)
}

// idle reports whether nothing but frames of topics could be due, and none is.
func (m *Member) idle() bool {
	if m.cursor != m.core.Head() || len(m.queue) > 0 || m.lost > 0 || m.loss.reason != "" || m.closing || m.latest || m.cut {
		return false
	}
	m.armed = true
	return true
}
