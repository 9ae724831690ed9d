package fanout

import (
	"container/list"
	"sync/atomic"
)

// era is a core in one of its epochs. Its head means nothing in another: a member keeps the era whose positions its
// cursor is one of.
type era struct {
	*Core
	epoch    string
	maxStamp int
	head     atomic.Uint64
}

func newEra(c *Core, epoch string, head Position) *era {
	e := &era{Core: c, epoch: epoch, maxStamp: c.cfg.Framing.MaxStamp(epoch)}
	e.head.Store(uint64(head))
	return e
}

// Head is the newest position of the era.
func (e *era) Head() Position { return Position(e.head.Load()) }

// Rotate begins a new epoch at floor: all logs are empty, and whoever has a position of an earlier epoch is told that it
// has to start anew. Memberships go on.
func (c *Core) Rotate(epoch string, floor Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.topics {
		t.dropped, t.idle = true, nil
	}
	c.topics, c.idle = make(map[string]*Topic), list.New()
	c.floors, c.segments, c.bytes = floors{base: floor}, queue{}, 0
	if c.kept != forever {
		c.kept = floor
	}
	e := newEra(c, epoch, floor)
	c.era.Store(e)
	if c.feeder != nil {
		c.feeder.forget()
	}
	for m := range c.members {
		m.restart(e)
	}
	for m := range c.readers {
		m.restart(e)
	}
}

// restart moves the member to a new era, with all that it follows. It runs under the core's lock.
func (m *Member) restart(e *era) {
	m.mu.Lock()
	defer m.mu.Unlock()
	head, now := e.Head(), nanotime()
	subs := m.subs
	m.subs, m.leaving = make([]sub, 0, len(subs)), 0
	for _, s := range subs {
		if s.until != forever {
			continue
		}
		e.moved(move{m, s.topic, false})
		if t, err := e.topic(s.topic.name, now); err == nil { // there are no more of them than before
			e.join(m, t, head)
		}
	}
	m.core, m.from, m.cursor, m.closeAt = e, head, head, head
	m.feed, m.left, m.latest, m.skipped, m.armed = nil, nil, false, 0, false
	for i := range m.queue {
		m.queue[i].barrier = head
	}
	if m.loss = (loss{}); !m.removed {
		m.loss = loss{reason: Restarted, unknown: true}
	}
	m.look()
	m.wake()
}
