package fanout

import "context"

// given is a place in a log that somebody else keeps.
type given struct {
	epoch string
	pos   Position
}

// Lap is what a publisher has to wait for; see [Core.Publish]. The zero Lap is over.
type Lap struct {
	core *Core
	lap  *lap
}

// Wait waits for 100 ms at most or until ctx ends.
func (l Lap) Wait(ctx context.Context) {
	if l.lap != nil {
		l.core.yield(ctx, l.lap)
	}
}

// Insert is Publish for a place that somebody else gave, and for a frame of any size. It does not wait itself. A topic
// that there is no room for is left out. [ErrOrder] means that p is not above the head or of another epoch.
func (c *Core) Insert(epoch string, p Position, key string, frame []byte, topics ...string) (Lap, error) {
	if p == 0 {
		return Lap{}, ErrOrder
	}
	_, l, err := c.publish(given{epoch, p}, key, frame, topics, nil)
	return Lap{c, l}, err
}

// Skip moves the head to p although nobody knows what lies before it: all logs are emptied, so that whoever is behind p
// is fed by the source or falls. [ErrOrder] means that p is not above the head or of another epoch.
func (c *Core) Skip(epoch string, p Position) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.era.Load()
	if epoch != e.epoch || p <= e.Head() {
		return ErrOrder
	}
	for _, t := range c.topics {
		t.last.Store(uint64(p))
		t.clear()
		if !t.dirty {
			t.dirty = true
			c.dirty = append(c.dirty, t)
		}
	}
	c.floors, c.segments, c.bytes = floors{base: p}, queue{}, 0
	e.head.Store(uint64(p))
	c.pump.kick()
	return nil
}

// Keep says that nothing above p may be forgotten yet. It is said before the first frame, and with a growing p. Topics
// with such frames outlive every limit.
func (c *Core) Keep(p Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = p
}

// Closed reports whether publishing and joining are refused.
func (c *Core) Closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}
