package sse

// deliver hands an event to those who follow its topics now, without an id: nobody can resume behind it.
func (m *mirror) deliver(e logEntry) {
	m.stats.live.Add(1)
	for member := range m.core.Everybody() {
		for _, t := range e.topics {
			if member.Follows(t) {
				member.Offer(e.frame)
				break
			}
		}
	}
}
