package fanout

import (
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

const forever = Position(math.MaxUint64)

// Driver sends what a member has to say. Its methods never block; they may be called at any time, also
// after the member's end.
type Driver interface {
	// Wake says that Next may have something new.
	Wake()
	// Interrupt makes a send that is under way fail now.
	Interrupt()
}

// Owner is whom a member stands for.
type Owner interface {
	// Farewell returns the last frame of a stream that ends for reason, or nil.
	Farewell(reason error) []byte
	// Lost returns the frame that tells of n private frames that were dropped, or nil.
	Lost(n int) []byte
}

// Errors of a [Member]. ErrSlow and ErrPanicked are reasons for its end.
var (
	ErrSlow      = errors.New("fanout: member was too slow")
	ErrPanicked  = errors.New("fanout: callback panicked")
	ErrEnded     = errors.New("fanout: member has ended")
	ErrQueueFull = errors.New("fanout: private queue is full")
	ErrOtherCore = errors.New("fanout: member belongs to another core")
)

// sub is a membership: the frames of topic in (from, until] are due.
type sub struct {
	topic       *Topic
	from, until Position
}

// private is a frame for one member only, due behind every frame up to barrier.
type private struct {
	barrier Position
	frame   []byte
	lost    int // private frames that were refused just before this one
}

// Member is one reader: a cursor into the logs of its topics and a queue of private frames. [Member.Next] is
// called by one goroutine at a time; every other method may be called from any.
//
// What a pass looks at comes first: with very many members it is the cache lines of each that cost.
type Member struct {
	driver atomic.Pointer[Driver]
	// blockedFrom is since when the transport counts as refusing bytes, Unix nanoseconds; 0 while it takes
	// them.
	blockedFrom atomic.Int64
	// seen is the cursor after the last call of Next, or forever when publishers need not wait for the member.
	seen atomic.Uint64

	// mu guards what follows, but for what says otherwise. It comes after Core.mu.
	mu       sync.Mutex
	core     *era // the core it has joined, in the epoch that it knows of; nil before
	cursor   Position
	lost     int32 // private frames refused since the last one that was queued
	leaving  int32 // subs that have an end
	announce bool  // its position must be told before its first frame
	armed    bool  // was once within the lag limits since it opened or was last told to go on
	latest   bool  // skips what is obsolete, until it has caught up
	removed  bool  // gets no more frames of topics
	closing  bool  // finishes what is due, then the farewell
	cut      bool
	over     bool
	started  bool // its first bytes are decided
	subs     []sub
	first    [1]sub // room for subs
	loss     loss   // what it must be told before its next frame
	feed     *feed  // where what memory has forgotten comes from; nil while memory serves it
	queue    []private

	queued   int      // bytes of queue
	from     Position // where it opened
	closeAt  Position
	farewell []byte
	reason   error
	left     *left         // what the last look found to be due to it; nil before the first
	ended    chan struct{} // nil until somebody asks
	drained  chan struct{} // see Drained; nil while nobody waits
	skipped  int32         // that it has not been told of
	asked    int32         // snapshots asked for

	deciding bool                          // OnSlow runs
	watched  bool                          // in pump.slow; for the pump only, not guarded
	window   uint8                         // see Takes; never changed
	depth    int32                         // of the private queue in frames; never changed
	weight   int                           // of it in bytes, no bound if 0; never changed
	owner    Owner                         // never changed
	sending  atomic.Int64                  // since when one call of the transport has been taking bytes, Unix nanoseconds; 0 between calls
	room     atomic.Pointer[chan struct{}] // has a token when the private queue may have room; nil until somebody waits
}

// loss is a notice in the making.
type loss struct {
	reason  string // "" when there is none
	dropped int32
	unknown bool      // the logs could not count
	snap    *snapshot // nil if none was asked for
}

// snapshot is what an application is asked for instead of a notice.
type snapshot struct {
	done   bool
	notice Notice // what it was asked with
	frame  []byte // what it answered; nil when it failed
}

// NewMember returns a member without topics; owner is what OnSlow and Snapshot are told of. Its private queue
// takes depth frames. A member without an owner is read with [Member.Step]; nobody waits for its end.
func NewMember(d Driver, owner Owner, depth int) *Member {
	m := &Member{owner: owner, depth: int32(min(depth, math.MaxInt32))}
	m.subs = m.first[:0]
	m.driver.Store(&d)
	m.seen.Store(uint64(forever))
	return m
}

// LimitQueue bounds the private queue in bytes too; one frame always has room. It is called before the first Send.
func (m *Member) LimitQueue(bytes int) { m.weight = bytes }

// Drive makes d the driver. What the one before was told is repeated; it must not call Next any more.
func (m *Member) Drive(d Driver) {
	m.driver.Store(&d)
	m.mu.Lock()
	cut := m.cut
	m.mu.Unlock()
	if cut {
		d.Interrupt()
	}
	d.Wake()
}

func (m *Member) wake() { (*m.driver.Load()).Wake() }

// Owner is what NewMember was given.
func (m *Member) Owner() Owner { return m.owner }

// Core is the core the member has joined, or nil.
func (m *Member) Core() *Core {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.core == nil {
		return nil
	}
	return m.core.Core
}

// Open joins topics at the position that lastID names, at the head if it is "", or, for [Oldest], where the memory of all
// of them begins. What was published since then is due. If it cannot be served, the member's first frame is a notice. Until
// [Member.Start] more topics can be opened, from the same position; after it a member without a core opens once.
func (c *Core) Open(m *Member, lastID string, topics ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.core != nil && (m.core.Core != c || m.started) {
		return ErrOtherCore
	}
	into, err := c.joinable(m, topics)
	if err != nil {
		return err
	}
	if lastID == Oldest {
		lastID = c.oldest(into)
	}
	if m.core == nil {
		m.core = c.era.Load()
		if m.owner != nil {
			c.members[m] = struct{}{}
		} else {
			c.readers[m] = struct{}{}
		}
		m.announce = m.started
		m.place(c, lastID)
	}
	for _, t := range into {
		if t.expired > m.from && m.loss.reason == "" && c.feeder == nil {
			m.loss = loss{reason: Expired, unknown: true}
			m.cursor = c.Head()
		}
		c.join(m, t, m.from)
	}
	m.wake()
	return nil
}

// place puts the cursor where lastID says.
func (m *Member) place(c *Core, lastID string) {
	head := c.Head()
	m.from, m.cursor = head, head
	if lastID == "" {
		if c.cfg.Snapshot != nil && !c.cfg.LossesOnly {
			m.loss = loss{reason: New, unknown: true}
		}
		return
	}
	switch epoch, p, ok := ParseID(lastID); {
	case !ok || (epoch == m.core.epoch && p > head && c.feeder == nil):
		m.loss = loss{reason: UnknownID, unknown: true}
	case epoch != m.core.epoch:
		m.loss = loss{reason: Restarted, unknown: true}
	default:
		m.from, m.cursor = p, p
		if p > head { // of a process that has read more of the store, unless the store does not know it
			m.ask(true)
		}
	}
}

// Join adds a topic from the head of this moment on; the topic's past is not served. Joining again what was
// joined does nothing.
func (c *Core) Join(m *Member, topics ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.core == nil || m.core.Core != c {
		return ErrOtherCore
	}
	into, err := c.joinable(m, topics)
	if err != nil {
		return err
	}
	for _, t := range into {
		c.join(m, t, max(m.cursor, c.Head()))
	}
	return nil
}

// joinable returns the logs of those topics that m has not joined.
func (c *Core) joinable(m *Member, topics []string) ([]*Topic, error) {
	if c.closed {
		return nil, ErrClosed
	}
	if m.over || m.closing {
		return nil, ErrEnded
	}
	if len(topics)+len(m.subs) > MaxTopicsPerMember {
		return nil, ErrTooManyTopics
	}
	into := make([]*Topic, 0, len(topics))
	now := nanotime()
	for _, name := range topics {
		t, err := c.topic(name, now)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(into, t) && !m.has(t) {
			into = append(into, t)
		}
	}
	if slices.ContainsFunc(into, func(t *Topic) bool { return t.dropped }) {
		return nil, ErrTooManyTopics
	}
	return into, nil
}

func (m *Member) has(t *Topic) bool {
	return slices.ContainsFunc(m.subs, func(s sub) bool { return s.topic == t && s.until == forever })
}

// join and leave run under both locks.
func (c *Core) join(m *Member, t *Topic, from Position) {
	m.subs = append(m.subs, sub{topic: t, from: from, until: forever})
	t.take(m.window, 1)
	if t.members++; t.idle != nil {
		c.idle.Remove(t.idle)
		t.idle = nil
	}
	c.moved(move{m, t, true})
	c.pump.kick()
}

func (c *Core) leave(m *Member, t *Topic) {
	t.touched = nanotime()
	t.take(m.window, -1)
	if t.members--; t.members == 0 {
		t.idle = c.idle.PushBack(t)
	}
	c.moved(move{m, t, false})
}

// Leave takes topics away: what was published before it returns is still due, nothing after.
func (c *Core) Leave(m *Member, topics ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.core == nil || m.core.Core != c {
		return
	}
	left := m.subs[:0]
	for _, s := range m.subs {
		if s.until == forever && slices.Contains(topics, s.topic.name) {
			c.leave(m, s.topic)
			// The last frame ends the interval, so that retention behind it is nobody's loss.
			if s.until = Position(s.topic.last.Load()); s.until <= max(m.cursor, s.from) {
				continue
			}
			m.leaving++
		}
		left = append(left, s)
	}
	clear(m.subs[len(left):])
	m.subs = left
	c.pump.kick()
	if m.leaving > 0 {
		m.wake() // the pump may know of the leave before it knows of the frames
	}
}

// Follows reports whether the member has joined topic and not left it.
func (m *Member) Follows(topic string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.subs, func(s sub) bool { return s.until == forever && s.topic.name == topic })
}

// Topics returns the names of the topics that the member has joined and not left.
func (m *Member) Topics() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for _, s := range m.subs {
		if s.until == forever {
			names = append(names, s.topic.name)
		}
	}
	return names
}

// Start returns where the stream opens: stamped is false when the member has no core or must first be told
// something. It is called once, before Next.
func (m *Member) Start() (epoch string, p Position, stamped bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started = true
	if m.core == nil || m.loss.reason != "" {
		return "", 0, false
	}
	return m.core.epoch, m.cursor, true
}

// Finish ends the member at the next frame boundary: private frames queued before it, then farewell. With
// due set, what was published before the call goes out too. The first call decides; later ones do nothing.
func (m *Member) Finish(reason error, farewell []byte, due bool) {
	m.mu.Lock()
	if !m.closing && !m.over {
		m.closing, m.reason, m.farewell, m.closeAt = true, reason, farewell, m.cursor
		if due && m.core != nil {
			m.closeAt = max(m.cursor, m.core.Head())
		}
	}
	m.mu.Unlock()
	m.wakeSenders()
	m.wake()
}

// Cut ends the member now; a send that is under way fails.
func (m *Member) Cut(reason error) {
	m.mu.Lock()
	if !m.over && !m.cut {
		m.cut = true
		if !m.closing {
			m.closing, m.reason = true, reason
		}
	}
	m.mu.Unlock()
	m.wakeSenders()
	m.wake()
	(*m.driver.Load()).Interrupt()
}

// End is called by the driver when it will call Next no more; it returns why the member ended, reason if
// nothing else was decided before.
func (m *Member) End(reason error) error {
	c := m.lockWithCore()
	if c != nil {
		defer c.mu.Unlock()
	}
	defer m.mu.Unlock()
	if m.over {
		return m.reason
	}
	if m.over = true; !m.closing {
		m.closing, m.reason = true, reason
	}
	m.queue = nil
	m.empty()
	m.blockedFrom.Store(0)
	if m.ended != nil {
		close(m.ended)
	}
	if c == nil {
		return m.reason
	}
	for i := range m.subs {
		if s := &m.subs[i]; s.until == forever {
			s.until = m.cursor
			c.leave(m, s.topic)
		}
	}
	delete(c.members, m)
	delete(c.readers, m)
	m.feed = nil
	if len(c.members) == 0 && c.empty != nil {
		close(c.empty)
		c.empty = nil
	}
	c.pump.kick()
	return m.reason
}

// lockWithCore locks m and, before it, its core, if it has one.
func (m *Member) lockWithCore() *Core {
	for {
		c := m.Core()
		if c != nil {
			c.mu.Lock()
		}
		m.mu.Lock()
		if m.core == nil && c == nil || m.core != nil && m.core.Core == c {
			return c
		}
		m.mu.Unlock()
		if c != nil {
			c.mu.Unlock()
		}
	}
}

// Ended is closed when the member has ended.
func (m *Member) Ended() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended == nil {
		m.ended = make(chan struct{})
		if m.over {
			close(m.ended)
		}
	}
	return m.ended
}

// Sending tells since when the driver waits for one call that sends, in Unix nanoseconds, or with 0 that it doesn't.
func (m *Member) Sending(since int64) { m.sending.Store(since) }

// Blocked tells since when the transport refuses bytes, in Unix nanoseconds, or with 0 that it takes them. A
// time in the future means: if it still does so then.
func (m *Member) Blocked(from int64) { m.blockedFrom.Store(from) }

// Refused is Blocked for a transport that has just begun to refuse bytes. The member is looked at even if nothing more is
// published.
func (m *Member) Refused(from int64) {
	m.Blocked(from)
	c := m.Core()
	if c == nil {
		return
	}
	c.mu.Lock()
	if !c.stopped {
		c.refusing = append(c.refusing, m)
	}
	c.mu.Unlock()
	c.pump.kick()
}
