package fanout

import "iter"

// Behind yields for each member of this moment, but for those without an owner, how many frames it is behind: those that
// are due, and those that it is yet to be told it has lost. known is false where the logs can't count them any more.
// Each member is looked at on its own, under its own lock, so that nobody waits for all of them.
func (c *Core) Behind() iter.Seq2[int, bool] {
	return func(yield func(frames int, known bool) bool) {
		for _, m := range c.Members() {
			if !yield(m.behind(c)) {
				return
			}
		}
	}
}

func (m *Member) behind(c *Core) (frames int, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over || m.removed {
		return 0, true
	}
	frames, _, known = m.due(c.Head())
	if m.loss.reason != "" && m.loss.reason != New {
		frames += int(m.loss.dropped)
		known = known && !m.loss.unknown
	}
	return frames, known
}
