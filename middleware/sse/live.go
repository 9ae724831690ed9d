package sse

import "slices"

// deliver hands an event to those who follow its topics now, without an id: nobody can resume behind it.
func (m *mirror) deliver(e logEntry) {
	m.stats.live.Add(1)
	for member := range m.core.Everybody() {
		if slices.ContainsFunc(e.topics, member.Follows) {
			member.Offer(e.frame)
		}
	}
}
