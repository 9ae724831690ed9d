package store

import (
	"fmt"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// sweepEvery is how often values are looked for whose time is over; sweepBatch, how many are freed under one lock.
const (
	sweepEvery = 5 * time.Second
	sweepBatch = 64
)

func (m *MemoryKV) now() time.Duration { return time.Since(m.start) }

func (m *MemoryKV) shard(key string) *shard {
	return &m.shards[maphash.String(m.seed, key)%uint64(len(m.shards))]
}

// lookup returns the item of a key of s, which is locked, or nil. It frees one whose time is over.
func (m *MemoryKV) lookup(s *shard, key string) (*item, error) {
	if s.items == nil {
		return nil, ErrClosed
	}
	it := s.items[key]
	if it != nil && it.deadline <= m.now() {
		m.bytes.Add(-s.remove(it))
		m.expired.Add(1)
		it = nil
	}
	return it, nil
}

// update replaces a key's item by one with the value that change returns, which may be called more than once. An error
// of it changes nothing. It makes room first, so that maxBytes holds at all times.
func (m *MemoryKV) update(key string, ttl time.Duration, change func(old *item) ([]byte, error)) error {
	s := m.shard(key)
	for {
		done, err := m.tryUpdate(s, key, ttl, change)
		if done || err != nil {
			if err == nil && ttl > 0 {
				m.sweeper.arm(m.sweep)
			}
			return err
		}
		if !m.evict() {
			runtime.Gosched() // what fills the store is just being put in
		}
	}
}

// tryUpdate is update if there is room.
func (m *MemoryKV) tryUpdate(s *shard, key string, ttl time.Duration, change func(*item) ([]byte, error)) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := m.lookup(s, key)
	if err != nil {
		return false, err
	}
	value, err := change(old)
	if err != nil {
		return false, err
	}
	now := m.now()
	it := &item{key: key, value: value, used: now, deadline: never}
	if ttl > 0 && ttl < never-now {
		it.deadline = now + ttl
	}
	cost := it.cost()
	if cost > m.maxBytes {
		return false, fmt.Errorf("%w: %d bytes with its key, MaxBytes is %d", ErrTooLarge, cost, m.maxBytes)
	}
	grow := cost
	if old != nil {
		grow -= old.cost()
	}
	if !m.reserve(grow) {
		return false, nil
	}
	if old != nil {
		s.remove(old)
	}
	s.put(it)
	return true, nil
}

// reserve counts n more bytes if there is room for them.
func (m *MemoryKV) reserve(n int64) bool {
	for {
		bytes := m.bytes.Load()
		if n > 0 && bytes+n > m.maxBytes {
			return false
		}
		if m.bytes.CompareAndSwap(bytes, bytes+n) {
			return true
		}
	}
}

// evict frees the item whose time is over for the longest time, or else the one that was unused for the longest. It
// holds no other lock than that item's.
func (m *MemoryKV) evict() bool {
	now := m.now()
	var dead, idle *shard
	soonest, oldest := int64(now)+1, int64(never)
	for i := range m.shards {
		s := &m.shards[i]
		if t := s.soonest.Load(); t < soonest {
			dead, soonest = s, t
		}
		if t := s.oldest.Load(); t < oldest {
			idle, oldest = s, t
		}
	}
	if dead != nil {
		return m.free(dead, now, 1) > 0
	}
	if idle == nil {
		return false
	}
	idle.mu.Lock()
	defer idle.mu.Unlock()
	it := idle.root.newer
	if it == &idle.root {
		return false
	}
	m.bytes.Add(-idle.remove(it))
	m.evicted.Add(1)
	return true
}

// free frees up to limit items of s whose time is over and returns how many there were.
func (m *MemoryKV) free(s *shard, now time.Duration, limit int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for ; n < limit && len(s.expiring) > 0 && s.expiring[0].deadline <= now; n++ {
		m.bytes.Add(-s.remove(s.expiring[0]))
		m.expired.Add(1)
	}
	return n
}

// sweep frees what has expired and reports whether something is left that will.
func (m *MemoryKV) sweep() {
	for i := range m.shards {
		for m.free(&m.shards[i], m.now(), sweepBatch) == sweepBatch {
			runtime.Gosched()
		}
	}
	m.sweeper.done(m.sweep, func() bool {
		for i := range m.shards {
			if m.shards[i].soonest.Load() != int64(never) {
				return true
			}
		}
		return false
	})
}

// A sweeper runs a function every now and then while there is something to do, one run at a time.
type sweeper struct {
	armed atomic.Bool

	mu     sync.Mutex // guards timer, closed and changes of armed
	timer  *time.Timer
	closed bool
	runs   sync.WaitGroup // those that are armed or running
}

// arm has run called once, unless it will be anyway.
func (w *sweeper) arm(run func()) {
	if w.armed.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armLocked(run)
}

func (w *sweeper) armLocked(run func()) {
	if w.closed || w.armed.Load() {
		return
	}
	w.armed.Store(true)
	w.runs.Add(1)
	w.timer = time.AfterFunc(sweepEvery, run)
}

// done ends a run. The next one follows if there is more to do: whoever brings something to do after it was asked for
// finds nothing armed.
func (w *sweeper) done(run func(), more func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed.Store(false)
	if more() {
		w.armLocked(run)
	}
	w.runs.Done()
}

// close ends the timer and waits for a run.
func (w *sweeper) close() {
	w.mu.Lock()
	w.closed = true
	if w.timer != nil && w.timer.Stop() {
		w.runs.Done()
	}
	w.mu.Unlock()
	w.runs.Wait()
}
