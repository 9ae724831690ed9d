package fanout

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of a [Core].
var (
	ErrClosed        = errors.New("fanout: core is closed")
	ErrFrameTooLarge = errors.New("fanout: frame is too large")
	ErrOrder         = errors.New("fanout: position is not above the head")
	ErrTooManyTopics = errors.New("fanout: too many topics")
)

// Core owns the logs of all topics and knows their members. Its methods may be called from any goroutine.
type Core struct {
	cfg       Config
	era       atomic.Pointer[era] // replaced under mu
	feeder    *feeder             // nil without a source
	pump      *pump
	callbacks *callbacks
	stats     counters

	// mu guards what follows and the fields of Topic that say so. It comes before Member.mu.
	mu       sync.Mutex
	closed   bool
	stopped  bool // nobody takes moves any more
	topics   map[string]*Topic
	idle     *list.List // topics without members, the longest untouched first
	floors   floors
	segments queue                // all segments in the order they were made
	bytes    int                  // what the logs cost
	members  map[*Member]struct{} // those with an owner
	readers  map[*Member]struct{} // those without
	kept     Position             // what is above it may not be forgotten yet
	empty    chan struct{}        // closed when the last member leaves; nil while nobody waits
	dirty    []*Topic             // published to since the pump last looked
	moves    []move               // joins and leaves since then
	refusing []*Member            // whose transport began to refuse bytes since then
	laps     []*lap               // asked for since then
}

type counters struct {
	published, delivered, bytes, dropped, superseded, resyncs, removed, closed, panics, throttled atomic.Int64
}

// Stats is a snapshot of a core's counters and gauges.
type Stats struct {
	Members, Topics             int
	HistoryFrames, HistoryBytes int
	Callbacks                   int   // running now
	Published                   int64 // frames
	Delivered                   int64 // frames handed to members' transports, private ones not counted
	DeliveredBytes              int64 // theirs, with their stamps
	Dropped                     int64 // frames skipped by a resync, as far as the logs could still count them
	Superseded                  int64 // frames skipped because a newer one of their key was due
	Resyncs                     int64 // notices and snapshots sent for a loss
	Removed, Closed             int64 // verdicts carried out
	CallbackPanics              int64
	Throttled                   int64 // publishes that waited for a pass
	SourceReads                 int64
	Waiting                     int // members that wait for the source
}

// NewCore returns a core that runs one goroutine, its pump, until [Core.Stop].
func NewCore(cfg Config) *Core {
	cfg = cfg.withDefaults()
	c := &Core{
		cfg: cfg, floors: floors{base: cfg.Floor}, topics: make(map[string]*Topic), idle: list.New(),
		members: make(map[*Member]struct{}), readers: make(map[*Member]struct{}), kept: forever,
	}
	c.era.Store(newEra(c, cmp.Or(cfg.Epoch, NewEpoch()), cfg.Floor))
	if cfg.Source != nil {
		c.feeder = newFeeder(c)
	}
	c.callbacks = &callbacks{max: cfg.MaxCallbacks, panics: &c.stats.panics, log: cfg.Logger}
	c.pump = newPump(c)
	return c
}

// Epoch is the first half of every id of this core.
func (c *Core) Epoch() string { return c.era.Load().epoch }

// Head is the newest position.
func (c *Core) Head() Position { return c.era.Load().Head() }

// Publish appends frame to the logs of topics and returns its position. It does not keep frame. With a
// topic named twice the frame is appended once.
//
// It waits for no reader; when the members' passes are half the retention behind, it yields to them, for
// 100 ms at most or until ctx ends.
func (c *Core) Publish(ctx context.Context, frame []byte, topics ...string) (Position, error) {
	return c.PublishKeyed(ctx, "", frame, topics...)
}

// PublishKeyed is Publish for a frame that makes earlier ones with the same key obsolete; "" is no key.
func (c *Core) PublishKeyed(ctx context.Context, key string, frame []byte, topics ...string) (Position, error) {
	return c.put(ctx, key, frame, topics, nil)
}

// put publishes at the next position. w may be nil.
func (c *Core) put(ctx context.Context, key string, frame []byte, topics []string, w *wording) (Position, error) {
	if len(frame) > c.cfg.MaxFrame {
		return 0, ErrFrameTooLarge
	}
	if len(topics) > MaxTopicsPerMember {
		return 0, ErrTooManyTopics
	}
	p, lap, err := c.publish(given{}, key, frame, topics, w)
	if lap != nil {
		c.yield(ctx, lap)
	}
	return p, err
}

// publish appends at a place that somebody else gave, or at the next position if it is the zero place.
func (c *Core) publish(at given, key string, frame []byte, topics []string, w *wording) (Position, *lap, error) {
	if len(topics) > 1 {
		topics = slices.Compact(slices.Sorted(slices.Values(topics)))
	}
	e := c.era.Load()
	// A large frame is copied outside the lock, with room for its stamp, and shared between its topics.
	var large []byte
	if len(frame) > AloneAbove {
		large = make([]byte, e.maxStamp+len(frame))
		copy(large[e.maxStamp:], frame)
	}
	w.copyLarge(e.maxStamp, frame)
	now := time.Now().UnixNano()

	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return 0, nil, ErrClosed
	}
	p := at.pos
	if c.era.Load() != e || p != 0 && (at.epoch != e.epoch || p <= e.Head()) {
		c.mu.Unlock()
		if p == 0 {
			return c.publish(at, key, frame, topics, w)
		}
		return 0, nil, ErrOrder
	}
	if !w.fits(e.Head()) {
		c.mu.Unlock()
		return 0, nil, ErrOrder
	}
	// Topics first: either all of them take the frame or none. What a store has is in the log of those that there is
	// room for; the others can be read from the store.
	var few [4]*Topic
	into := few[:0]
	for _, name := range topics {
		t, err := c.topic(name, now)
		switch {
		case err == nil:
			into = append(into, t)
		case p == 0:
			c.mu.Unlock()
			return 0, nil, err
		default:
			c.floors.raise(name, p)
		}
	}
	if slices.ContainsFunc(into, func(t *Topic) bool { return t.dropped }) {
		if p == 0 {
			c.mu.Unlock() // its own topics had to make room for each other
			return 0, nil, ErrTooManyTopics
		}
		into = slices.DeleteFunc(into, func(t *Topic) bool {
			if t.dropped {
				c.floors.raise(t.name, p)
			}
			return t.dropped
		})
	}
	if p == 0 {
		p = e.Head() + 1
	}
	var g *tag
	if key != "" {
		g = &tag{key: key, topics: slices.Clone(into)}
	}
	w.count(into)
	for _, t := range into {
		c.append(e, t, p, frame, large, len(into), now, g, w)
		if !t.dirty {
			t.dirty = true
			c.dirty = append(c.dirty, t)
		}
	}
	e.head.Store(uint64(p))
	c.retain(len(into))
	lap := c.lapped(into)
	c.mu.Unlock()

	c.stats.published.Add(1)
	c.pump.kick()
	return p, lap, nil
}

// append writes stamp and frame to the log of t.
func (c *Core) append(e *era, t *Topic, p Position, frame, large []byte, sharers int, now int64, g *tag, w *wording) {
	var s *segment
	window := w.window(t)
	var fresh bool
	var off, end int
	if large != nil {
		var room [64]byte
		stamp := c.cfg.Framing.AppendStamp(room[:0], e.epoch, p)
		off, end = e.maxStamp-len(stamp), len(large)
		copy(large[off:], stamp)
		s, fresh = newSegment(t, 0, 1), true
		s.buf, s.sharers = large, sharers
		if window > 0 {
			s.twin = w.alone(t, window, sharers)
		}
	} else {
		s, fresh = t.room(e.maxStamp+len(frame), e.maxStamp+w.size(frame, window), window, w)
		off = s.used
		b := c.cfg.Framing.AppendStamp(s.buf[off:off], e.epoch, p)
		end = off + len(b) + copy(s.buf[off+len(b):], frame)
	}
	before := s.size()
	if fresh {
		before = 0
	}
	if s.twin != nil {
		c.reword(e, s, p, frame, now, g, w, window)
	}
	s.add(p, off, end, now, g)
	c.bytes += s.size() - before
	if fresh {
		t.attach(s)
		c.segments.push(s)
	}
	expired := t.oldest
	t.appended(s, p, c.cfg.History, c.kept, now)
	for expired != nil && expired != t.oldest && !expired.freed {
		c.free(t)
	}
	if t.idle != nil {
		c.idle.MoveToBack(t.idle)
	}
}

// Members returns the members of this moment, but for those without an owner.
func (c *Core) Members() []*Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.AppendSeq(make([]*Member, 0, len(c.members)), maps.Keys(c.members))
}

// Everybody yields the members of this moment, those without an owner too.
func (c *Core) Everybody() iter.Seq[*Member] {
	c.mu.Lock()
	all := slices.AppendSeq(make([]*Member, 0, len(c.members)+len(c.readers)), maps.Keys(c.members))
	all = slices.AppendSeq(all, maps.Keys(c.readers))
	c.mu.Unlock()
	return slices.Values(all)
}

// Followers returns how many members have joined topic and not left it.
func (c *Core) Followers(topic string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.topics[topic]; t != nil {
		return t.members
	}
	return 0
}

// Refuse ends publishing and joining: both answer ErrClosed from here on.
func (c *Core) Refuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// WaitEmpty returns nil when the core has no member with an owner, or the cause for which ctx ended.
func (c *Core) WaitEmpty(ctx context.Context) error {
	for {
		c.mu.Lock()
		if len(c.members) == 0 {
			c.mu.Unlock()
			return nil
		}
		if c.empty == nil {
			c.empty = make(chan struct{})
		}
		empty := c.empty
		c.mu.Unlock()
		select {
		case <-empty:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Stop ends the pump and waits for it, and for the callbacks until ctx ends. The core is refused first.
func (c *Core) Stop(ctx context.Context) error {
	c.mu.Lock()
	c.closed, c.stopped = true, true
	c.moves = nil
	c.mu.Unlock()
	c.pump.stop()
	return errors.Join(c.callbacks.wait(ctx), c.feeder.stop(ctx))
}

// Stats returns the counters and gauges of this moment.
func (c *Core) Stats() Stats {
	s := Stats{
		Callbacks: c.callbacks.count(),
		Published: c.stats.published.Load(), Delivered: c.stats.delivered.Load(), Dropped: c.stats.dropped.Load(),
		DeliveredBytes: c.stats.bytes.Load(), Superseded: c.stats.superseded.Load(),
		Resyncs: c.stats.resyncs.Load(), Removed: c.stats.removed.Load(), Closed: c.stats.closed.Load(),
		CallbackPanics: c.stats.panics.Load(), Throttled: c.stats.throttled.Load(),
	}
	if c.feeder != nil {
		s.SourceReads, s.Waiting = c.feeder.reads.Load(), c.feeder.waiting()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Members, s.Topics, s.HistoryBytes = len(c.members), len(c.topics), c.bytes
	for _, t := range c.topics {
		s.HistoryFrames += t.kept
	}
	return s
}

// CountPanic counts a panic of user code that ran for a member of this core.
func (c *Core) CountPanic() { c.stats.panics.Add(1) }
