package fanout

import (
	"hash/maphash"
	"time"
)

// floors remember, by a hash of the name, the newest position that dropped topics forgot.
type floors struct {
	base Position // of every name
	seed maphash.Seed
	at   []Position // made with the first topic that is dropped
}

const floorBuckets = 1024

func (f *floors) of(name string) Position {
	if f.at == nil {
		return f.base
	}
	return max(f.base, f.at[maphash.String(f.seed, name)%floorBuckets])
}

func (f *floors) raise(name string, p Position) {
	if f.at == nil {
		f.seed, f.at = maphash.MakeSeed(), make([]Position, floorBuckets)
	}
	at := &f.at[maphash.String(f.seed, name)%floorBuckets]
	*at = max(*at, p)
}

// queue is a first-in first-out of segments. Freed ones are swept out when they are the larger part.
type queue struct {
	list  []*place // those of freed segments are empty
	first int
	freed int // freed segments that are still in the list, at most
}

func (q *queue) push(s *segment) {
	s.place = &place{s}
	q.list = append(q.list, s.place)
}

// pushFront puts back what was popped last.
func (q *queue) pushFront(s *segment) {
	if q.first == 0 { // it was compacted
		q.list = append([]*place{nil}, q.list...)
		q.first = 1
	}
	q.first--
	q.list[q.first] = s.place
}

// pop returns nil for a segment that was freed. The queue must not be empty.
func (q *queue) pop() *segment {
	s := q.list[q.first].s
	q.list[q.first] = nil
	if q.first++; q.first > 64 && q.first > len(q.list)/2 {
		q.list = append(q.list[:0:0], q.list[q.first:]...)
		q.first = 0
	}
	return s
}

func (q *queue) len() int { return len(q.list) - q.first }

// release accounts for n segments that were freed without being popped.
func (q *queue) release(n int) {
	if q.freed += n; q.freed <= 64 || q.freed <= q.len()/2 {
		return
	}
	left := make([]*place, 0, q.len()-min(q.freed, q.len()))
	for _, p := range q.list[q.first:] {
		if p.s != nil {
			left = append(left, p)
		}
	}
	*q = queue{list: left}
}

// topic returns the log of that name, made if need be. A new one above MaxTopics takes the place of the
// topic without members that was touched the longest ago.
func (c *Core) topic(name string, now int64) (*Topic, error) {
	if t := c.topics[name]; t != nil {
		if t.idle != nil {
			c.idle.MoveToBack(t.idle)
		}
		return t, nil
	}
	if len(c.topics) >= c.cfg.MaxTopics {
		e := c.idle.Front()
		if e == nil || c.holds(e.Value.(*Topic)) {
			return nil, ErrTooManyTopics
		}
		c.forget(e.Value.(*Topic))
	}
	t := newTopic(name, c.floors.of(name), now)
	c.topics[name] = t
	t.idle = c.idle.PushBack(t)
	return t, nil
}

// holds reports whether there is something in the topic's log that may not be forgotten yet.
func (c *Core) holds(t *Topic) bool { return Position(t.last.Load()) > c.kept }

// forget drops a topic that nobody follows.
func (c *Core) forget(t *Topic) {
	c.floors.raise(t.name, Position(t.last.Load()))
	segs := t.view.Load().segs
	for _, s := range segs {
		c.bytes -= s.size()
	}
	t.clear()
	c.segments.release(len(segs))
	t.dropped = true
	delete(c.topics, t.name)
	c.idle.Remove(t.idle)
	t.idle = nil
}

// free forgets the oldest segment of t.
func (c *Core) free(t *Topic) {
	c.bytes -= t.freeFirst().size()
	c.segments.release(1)
}

// retain brings the logs towards HistoryBytes: the oldest segment goes first, but for the newest frame of
// each topic. It looks at a number of segments that keeps up with a publish to that many topics.
func (c *Core) retain(topics int) {
	for range min(c.segments.len(), 2*topics+8) {
		if c.bytes <= c.cfg.HistoryBytes {
			return
		}
		s := c.segments.pop()
		if s == nil {
			c.segments.freed--
			continue
		}
		switch t := s.topic; {
		case s.last() > c.kept: // as is all that comes behind it
			c.segments.pushFront(s)
			return
		case len(t.view.Load().segs) > 1:
			c.segments.freed-- // free counts it, but it is no longer in the list
			c.free(t)
		default:
			if one := t.compact(); one != nil {
				c.bytes += one.size() - s.size()
				s = one
			}
			c.segments.push(s)
		}
	}
}

// sweep forgets what is older than HistoryAge: topics that nobody follows as a whole, of the others all but
// the newest segment. It holds the lock for a bounded number of topics at a time.
func (c *Core) sweep() {
	c.mu.Lock()
	all := make([]*Topic, 0, len(c.topics))
	for _, t := range c.topics {
		all = append(all, t)
	}
	c.mu.Unlock()
	const chunk = 256
	for len(all) > 0 {
		n := min(chunk, len(all))
		c.mu.Lock()
		limit := time.Now().Add(-c.cfg.HistoryAge).UnixNano()
		for _, t := range all[:n] {
			if t.dropped {
				continue
			}
			if t.members == 0 && t.touched < limit && !c.holds(t) {
				c.forget(t)
				continue
			}
			for segs := t.view.Load().segs; len(segs) > 1 && segs[0].newest < limit && segs[0].last() <= c.kept; segs = segs[1:] {
				c.free(t)
			}
		}
		c.mu.Unlock()
		all = all[n:]
	}
}
