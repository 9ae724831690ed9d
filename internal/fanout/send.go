package fanout

import "errors"

// Send queues a frame for this member alone, behind everything published before the call. It does not copy
// frame, and sends nothing if that is empty. It answers ErrQueueFull when the queue holds as many as it may, and ErrEnded
// after the end.
func (m *Member) Send(frame []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over || m.closing {
		return ErrEnded
	}
	if len(m.queue) >= int(m.depth) || m.weight > 0 && m.queued > 0 && m.queued+len(frame) > m.weight {
		return ErrQueueFull
	}
	if len(frame) == 0 { // drivers count bytes
		return nil
	}
	m.enqueue(frame)
	m.wake()
	return nil
}

func (m *Member) enqueue(frame []byte) {
	p := private{frame: frame, barrier: m.cursor, lost: int(m.lost)}
	if m.core != nil {
		p.barrier = max(m.cursor, m.core.Head())
	}
	m.lost = 0
	m.queue = append(m.queue, p)
	m.queued += len(frame)
}

// Lose counts a private frame that its sender gave up; the member is told before its next private frame.
func (m *Member) Lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.over && !m.closing {
		m.lost++
		m.wake()
	}
}

// Depth returns how many private frames wait.
func (m *Member) Depth() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue)
}

// Room yields a token when the private queue may have room again or the member is ending. Whoever takes it
// tries again, and passes it on with [Member.PassRoom] when it is through: there may be others.
func (m *Member) Room() <-chan struct{} {
	if r := m.room.Load(); r != nil {
		return *r
	}
	r := make(chan struct{}, 1)
	r <- struct{}{} // there may have been room before anybody could be told
	if !m.room.CompareAndSwap(nil, &r) {
		return *m.room.Load()
	}
	return r
}

// PassRoom lets the next waiting sender try.
func (m *Member) PassRoom() { m.wakeSenders() }

func (m *Member) wakeSenders() {
	r := m.room.Load()
	if r == nil {
		return
	}
	select {
	case *r <- struct{}{}:
	default:
	}
}

// pop moves the first private frame out, or what must be told before it.
func (m *Member) pop(out *batch) {
	p := m.queue[0]
	if p.lost > 0 {
		m.queue[0].lost = 0
		m.tellLost(out, p.lost)
		return
	}
	m.queue[0] = private{}
	if m.queue = m.queue[1:]; len(m.queue) == 0 {
		m.queue = nil
		m.empty()
	}
	m.queued -= len(p.frame)
	out.add(p.frame)
	m.wakeSenders()
}

func (m *Member) tellLost(out *batch, n int) {
	if f := m.owner.Lost(n); f != nil {
		out.add(f)
	}
}

// Heartbeat returns a frame that carries the member's position, or nil when it has none to tell, because
// something is due, is being told, or it gets no frames.
func (m *Member) Heartbeat() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.core
	if c == nil || m.removed || m.closing || m.over || m.loss.reason != "" || len(m.queue) > 0 {
		return nil
	}
	head := c.Head()
	if frames, _, ok := m.due(head); !ok || frames > 0 {
		return nil
	}
	m.cursor = max(m.cursor, head)
	return c.cfg.Framing.AppendPosition(nil, c.epoch, m.cursor)
}

// Offer is Send for a frame that is due to many: where there is no room the member is told that it lost one.
func (m *Member) Offer(frame []byte) {
	if !errors.Is(m.Send(frame), ErrQueueFull) {
		return
	}
	if m.owner != nil {
		m.Lose()
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.core != nil && !m.over && !m.closing {
		m.queue, m.queued = nil, 0
		m.drop(Lagged, m.core.Head(), 0, false)
		m.wake()
	}
}
