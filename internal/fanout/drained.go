package fanout

// Drained returns a channel that is closed when no private frame waits, or none will be sent any more.
func (m *Member) Drained() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drained == nil {
		m.drained = make(chan struct{})
	}
	c := m.drained
	m.empty()
	return c
}

// empty tells those who wait for an empty queue, if it is.
func (m *Member) empty() {
	if m.drained != nil && (len(m.queue) == 0 || m.over) {
		close(m.drained)
		m.drained = nil
	}
}
