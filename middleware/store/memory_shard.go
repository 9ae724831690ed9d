package store

import (
	"container/heap"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// never is a moment that doesn't come.
const never = time.Duration(math.MaxInt64)

// An item is a key with its value, which is replaced and never changed. Moments count from the store's start.
type item struct {
	key          string
	value        []byte
	deadline     time.Duration // never, if it stays
	used         time.Duration
	index        int   // in shard.expiring, or -1
	newer, older *item // in the order of use, a ring through shard.root
}

func (it *item) cost() int64 { return int64(len(it.key) + len(it.value) + keyOverhead) }

// A shard is a part of a store. What is about to be freed next is known without its lock.
type shard struct {
	mu       sync.Mutex       // guards items, root and expiring
	items    map[string]*item // nil once closed
	root     item             // root.older is the newest item, root.newer the oldest
	expiring expiring

	oldest  atomic.Int64 // when the item that was unused for the longest time was used, or never
	soonest atomic.Int64 // the first deadline, or never
}

func (s *shard) init() {
	s.items = make(map[string]*item)
	s.root.newer, s.root.older = &s.root, &s.root
	s.publish()
}

// publish tells what will be freed next. It is called with the lock held, after each change.
func (s *shard) publish() {
	oldest, soonest := never, never
	if it := s.root.newer; it != &s.root {
		oldest = it.used
	}
	if len(s.expiring) > 0 {
		soonest = s.expiring[0].deadline
	}
	s.oldest.Store(int64(oldest))
	s.soonest.Store(int64(soonest))
}

// touch makes it the newest item.
func (s *shard) touch(it *item, now time.Duration) {
	it.used = now
	it.newer.older, it.older.newer = it.older, it.newer
	s.link(it)
	s.publish()
}

// link puts it in as the newest item.
func (s *shard) link(it *item) {
	it.newer, it.older = &s.root, s.root.older
	it.older.newer, it.newer.older = it, it
}

// put adds an item.
func (s *shard) put(it *item) {
	s.items[it.key] = it
	s.link(it)
	it.index = -1
	if it.deadline != never {
		heap.Push(&s.expiring, it)
	}
	s.publish()
}

// remove takes an item out and returns what it cost.
func (s *shard) remove(it *item) int64 {
	delete(s.items, it.key)
	it.newer.older, it.older.newer = it.older, it.newer
	if it.index >= 0 {
		heap.Remove(&s.expiring, it.index)
	}
	s.publish()
	return it.cost()
}

// keys returns the keys with a prefix whose time isn't over.
func (s *shard) keys(prefix string, now time.Duration) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items == nil {
		return nil, ErrClosed
	}
	var keys []string
	for key, it := range s.items {
		if strings.HasPrefix(key, prefix) && it.deadline > now {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// removePrefix removes the items with a prefix and returns what they cost.
func (s *shard) removePrefix(prefix string) (freed int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items == nil {
		return 0, ErrClosed
	}
	for key, it := range s.items {
		if strings.HasPrefix(key, prefix) {
			freed += s.remove(it)
		}
	}
	return freed, nil
}

// close empties the shard for good and returns what its items cost.
func (s *shard) close() (freed int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range s.items {
		freed += it.cost()
	}
	s.items, s.expiring = nil, nil
	s.root.newer, s.root.older = &s.root, &s.root
	s.publish()
	return freed
}

// expiring is a heap of the items with a ttl, the first deadline on top.
type expiring []*item

// Len implements [heap.Interface].
func (e *expiring) Len() int { return len(*e) }

// Less implements [heap.Interface].
func (e *expiring) Less(i, j int) bool { return (*e)[i].deadline < (*e)[j].deadline }

// Swap implements [heap.Interface].
func (e *expiring) Swap(i, j int) {
	all := *e
	all[i], all[j] = all[j], all[i]
	all[i].index, all[j].index = i, j
}

// Push implements [heap.Interface].
func (e *expiring) Push(x any) {
	it, _ := x.(*item)
	it.index = len(*e)
	*e = append(*e, it)
}

// Pop implements [heap.Interface].
func (e *expiring) Pop() any {
	last := len(*e) - 1
	it := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	it.index = -1
	return it
}
