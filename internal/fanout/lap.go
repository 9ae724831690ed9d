package fanout

import (
	"context"
	"slices"
	"time"
)

const (
	lapWait  = 100 * time.Millisecond
	lapCheck = 200 * time.Microsecond
	// sendGrace is how long a send may take before publishers take its member for a slow reader, not for one that only
	// waits for a processor.
	sendGrace = 20 * time.Millisecond
)

// lap is what publishers wait for that are half a topic's history ahead of its members' passes: until those whose
// transport takes bytes have caught up. Otherwise a burst would outrun readers that are only waiting for a processor.
type lap struct {
	topic *Topic
	until Position
	count uint64
	ends  int64 // Unix nanoseconds; a member that does not pass at all holds nobody up for longer
	over  chan struct{}
}

// lapped returns the lap that a publisher to these topics must wait for, or nil.
func (c *Core) lapped(topics []*Topic) *lap {
	var wait *lap
	for _, t := range topics {
		if t.members == 0 {
			t.caught = t.events
		}
		if t.events-t.caught <= uint64(c.cfg.History/2) {
			continue
		}
		if t.lap == nil {
			t.lap = &lap{topic: t, until: c.Head(), count: t.events, ends: nanotime() + int64(lapWait), over: make(chan struct{})}
			c.laps = append(c.laps, t.lap)
		}
		wait = t.lap
	}
	return wait
}

// yield waits for a lap, for 100 ms at most.
func (c *Core) yield(ctx context.Context, l *lap) {
	c.stats.throttled.Add(1)
	limit := time.NewTimer(lapWait)
	defer limit.Stop()
	select {
	case <-l.over:
	case <-limit.C:
	case <-ctx.Done():
	case <-c.pump.quit:
	}
}

// finish ends the laps whose members have caught up.
func (p *pump) finish() {
	now := nanotime()
	p.laps = slices.DeleteFunc(p.laps, func(l *lap) bool {
		for m := range p.topics[l.topic] {
			if now < l.ends && Position(m.seen.Load()) < l.until && m.passes(now) {
				return false
			}
		}
		c := p.core
		c.mu.Lock()
		l.topic.lap, l.topic.caught = nil, max(l.topic.caught, l.count)
		c.mu.Unlock()
		close(l.over)
		return true
	})
}

// passes reports whether only a processor keeps the member from what is due.
func (m *Member) passes(now int64) bool {
	from, since := m.blockedFrom.Load(), m.sending.Load()
	return (from == 0 || from > now) && (since == 0 || now-since < int64(sendGrace))
}
