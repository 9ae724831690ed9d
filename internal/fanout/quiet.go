package fanout

// Quiet reports whether nothing is due to the member and nothing keeps it from being sent something: whoever drives it
// may send a frame past the queue then, as long as it calls nothing of the member in between.
func (m *Member) Quiet() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closing || m.over || m.cut || len(m.queue) > 0 || m.lost > 0 {
		return false
	}
	if m.core == nil {
		return true
	}
	return !m.announce && m.loss.reason == "" && !m.latest && m.cursor == m.core.Head()
}

// Queued returns how many bytes of private frames wait.
func (m *Member) Queued() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.queued
}
