package fanout

import (
	"cmp"
	"container/list"
	"context"
	"errors"
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
	epoch     string
	maxStamp  int
	head      atomic.Uint64
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
}

// NewCore returns a core that runs one goroutine, its pump, until [Core.Stop].
func NewCore(cfg Config) *Core {
	cfg = cfg.withDefaults()
	c := &Core{
		cfg: cfg, epoch: cmp.Or(cfg.Epoch, NewEpoch()), floors: floors{base: cfg.Floor}, topics: make(map[string]*Topic), idle: list.New(),
		members: make(map[*Member]struct{}),
	}
	c.head.Store(uint64(cfg.Floor))
	c.maxStamp = cfg.Framing.MaxStamp(c.epoch)
	c.callbacks = &callbacks{max: cfg.MaxCallbacks, panics: &c.stats.panics, log: cfg.Logger}
	c.pump = newPump(c)
	return c
}

// Epoch is the first half of every id of this core.
func (c *Core) Epoch() string { return c.epoch }

// Head is the newest position.
func (c *Core) Head() Position { return Position(c.head.Load()) }

// Publish appends frame to the logs of topics and returns its position. It does not keep frame. With a
// topic named twice the frame is appended once.
//
// It waits for no reader; when the members' passes are half the retention behind, it yields to them, for
// 100 ms at most or until ctx ends.
func (c *Core) Publish(ctx context.Context, frame []byte, topics ...string) (Position, error) {
	return c.publish(ctx, 0, "", frame, topics, nil)
}

// PublishKeyed is Publish for a frame that makes earlier ones with the same key obsolete; "" is no key.
func (c *Core) PublishKeyed(ctx context.Context, key string, frame []byte, topics ...string) (Position, error) {
	return c.publish(ctx, 0, key, frame, topics, nil)
}

// Insert is Publish for a position that somebody else gave; [ErrOrder] means that it is not above the head.
func (c *Core) Insert(ctx context.Context, p Position, frame []byte, topics ...string) error {
	_, err := c.publish(ctx, p, "", frame, topics, nil)
	return err
}

// publish appends at p, or at the next position if it is 0. w may be nil.
func (c *Core) publish(ctx context.Context, p Position, key string, frame []byte, topics []string, w *wording) (Position, error) {
	if len(frame) > c.cfg.MaxFrame {
		return 0, ErrFrameTooLarge
	}
	if len(topics) > MaxTopicsPerMember {
		return 0, ErrTooManyTopics
	}
	if len(topics) > 1 {
		topics = slices.Compact(slices.Sorted(slices.Values(topics)))
	}
	// A large frame is copied outside the lock, with room for its stamp, and shared between its topics.
	var large []byte
	if len(frame) > AloneAbove {
		large = make([]byte, c.maxStamp+len(frame))
		copy(large[c.maxStamp:], frame)
	}
	w.copyLarge(c.maxStamp, frame)
	now := time.Now().UnixNano()

	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return 0, ErrClosed
	}
	if p != 0 && p <= c.Head() {
		c.mu.Unlock()
		return 0, ErrOrder
	}
	if !w.fits(c.Head()) {
		c.mu.Unlock()
		return 0, ErrOrder
	}
	// Topics first: either all of them take the frame or none.
	var few [4]*Topic
	into := few[:0]
	for _, name := range topics {
		t, err := c.topic(name, now)
		if err != nil {
			c.mu.Unlock()
			return 0, err
		}
		into = append(into, t)
	}
	if slices.ContainsFunc(into, func(t *Topic) bool { return t.dropped }) {
		c.mu.Unlock() // its own topics had to make room for each other
		return 0, ErrTooManyTopics
	}
	if p == 0 {
		p = c.Head() + 1
	}
	var g *tag
	if key != "" {
		g = &tag{key: key, topics: slices.Clone(into)}
	}
	w.count(into)
	for _, t := range into {
		c.append(t, p, frame, large, len(into), now, g, w)
		if !t.dirty {
			t.dirty = true
			c.dirty = append(c.dirty, t)
		}
	}
	c.head.Store(uint64(p))
	c.retain(len(into))
	lap := c.lapped(into)
	c.mu.Unlock()

	c.stats.published.Add(1)
	c.pump.kick()
	if lap != nil {
		c.yield(ctx, lap)
	}
	return p, nil
}

// append writes stamp and frame to the log of t.
func (c *Core) append(t *Topic, p Position, frame, large []byte, sharers int, now int64, g *tag, w *wording) {
	var s *segment
	window := w.window(t)
	var fresh bool
	var off, end int
	if large != nil {
		var room [64]byte
		stamp := c.cfg.Framing.AppendStamp(room[:0], c.epoch, p)
		off, end = c.maxStamp-len(stamp), len(large)
		copy(large[off:], stamp)
		s, fresh = newSegment(t, 0, 1), true
		s.buf, s.sharers = large, sharers
		if window > 0 {
			s.twin = w.alone(t, window, sharers)
		}
	} else {
		s, fresh = t.room(c.maxStamp+len(frame), c.maxStamp+w.size(frame, window), window, w)
		off = s.used
		b := c.cfg.Framing.AppendStamp(s.buf[off:off], c.epoch, p)
		end = off + len(b) + copy(s.buf[off+len(b):], frame)
	}
	before := s.size()
	if fresh {
		before = 0
	}
	if s.twin != nil {
		c.reword(s, p, frame, now, g, w, window)
	}
	s.add(p, off, end, now, g)
	c.bytes += s.size() - before
	if fresh {
		t.attach(s)
		c.segments.push(s)
	}
	expired := t.oldest
	t.appended(s, p, c.cfg.History, now)
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

// Servable reports whether memory still has all that topics said since lastID; "" asks for nothing, and what no log
// could serve counts as served.
func (c *Core) Servable(lastID string, topics ...string) bool {
	epoch, p, ok := ParseID(lastID)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !ok || epoch != c.epoch || p > c.Head() {
		return true
	}
	for _, name := range topics {
		expired := c.floors.of(name)
		if t := c.topics[name]; t != nil {
			expired = t.expired
		}
		if expired > p {
			return false
		}
	}
	return true
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
	return c.callbacks.wait(ctx)
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
