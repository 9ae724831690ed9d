package sse

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// kvStream is what this process knows of a stream. It is forgotten when nobody uses it and others are wanted.
type kvStream struct {
	name string
	keys kvKeys

	element *list.Element // guarded by kvReplay.mu, like users
	users   int           // calls and goroutines that are at it
	gone    chan struct{} // closed when it is forgotten

	// turn holds a token while somebody loads the epoch, takes the lease or a block.
	turn chan struct{}

	mu         sync.Mutex // guards all below, and the epoch
	epoch      *kvEpoch   // nil until it is known
	queue      []*kvAppend
	committing bool          // a goroutine takes what is queued
	changed    chan struct{} // closed when something was stored; nil while nobody waits
	leaseUntil time.Time     // zero without one
	block      kvBlock       // of AsyncAppend
}

// kvEpoch is one numbering of a stream.
type kvEpoch struct {
	id      string
	head    uint64 // newest position known to be taken; with AsyncAppend, to be used
	taken   uint64 // newest position known to be taken
	floor   uint64 // newest position known to be no longer kept
	pending map[uint64]*kvAppend
	order   []*kvAppend // those of AsyncAppend by position, without the first that are settled
	unclean bool        // something was not stored, and nothing is in its place
	based   time.Time   // when the epoch's key was written last
}

// kvBlock are positions that were taken and not yet used.
type kvBlock struct {
	epoch     *kvEpoch
	next, end uint64
	size      int // of the last block
}

func (b *kvBlock) empty(e *kvEpoch) bool { return b.epoch != e || b.next > b.end }

// use returns the stream and holds it until release.
func (s *kvReplay) use(ctx context.Context, name string) (*kvStream, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, ErrStoreClosed
		}
		st := s.streams[name]
		if st == nil {
			st = &kvStream{name: name, keys: s.keys(name), turn: make(chan struct{}, 1)}
			st.element = s.recent.PushFront(st)
			s.streams[name] = st
		}
		gone := st.gone
		if gone == nil {
			st.users++
			s.recent.MoveToFront(st.element)
		}
		s.mu.Unlock()
		if gone == nil {
			return st, nil
		}
		select {
		case <-gone:
		case <-ctx.Done():
		}
	}
}

// hold holds a stream that is held for longer than by others.
func (s *kvReplay) hold(st *kvStream) {
	s.mu.Lock()
	st.users++
	s.mu.Unlock()
}

func (s *kvReplay) release(st *kvStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.users--
	s.forgetOldest()
}

// forgetOldest begins to forget streams if there are too many. Call with mu held.
func (s *kvReplay) forgetOldest() {
	if s.closed {
		return
	}
	excess := len(s.streams) - s.most
	for element := s.recent.Back(); element != nil && excess > 0; element = element.Prev() {
		st := element.Value.(*kvStream)
		if st.users > 0 && st.gone == nil {
			continue
		}
		excess--
		if st.gone != nil {
			continue
		}
		st.gone = make(chan struct{})
		s.writes.Go(func() {
			ctx, cancel := context.WithTimeout(s.work, s.config.Timeout)
			defer cancel()
			s.letGo(ctx, st)
			s.mu.Lock()
			s.recent.Remove(st.element)
			delete(s.streams, st.name)
			s.mu.Unlock()
			close(st.gone)
		})
	}
}

// takeTurn waits for the turn; st.endTurn ends it.
func (st *kvStream) takeTurn(ctx context.Context) error {
	if ctx.Err() == nil {
		select {
		case st.turn <- struct{}{}:
			return nil
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}

func (st *kvStream) endTurn() { <-st.turn }

// current returns the epoch, nil if it isn't known or, with leases, no longer held.
func (s *kvReplay) current(st *kvStream) *kvEpoch {
	st.mu.Lock()
	defer st.mu.Unlock()
	if s.leased && !st.held() {
		return nil
	}
	return st.epoch
}

// held reports whether the lease is this store's for certain. Call with mu held.
func (st *kvStream) held() bool { return time.Now().Before(st.leaseUntil) }

// leave forgets an epoch that is over.
func (st *kvStream) leave(e *kvEpoch) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.epoch == e {
		st.epoch = nil
	}
}

// change returns a channel that is closed when the next record is stored.
func (st *kvStream) change() <-chan struct{} {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.changed == nil {
		st.changed = make(chan struct{})
	}
	return st.changed
}

// notify wakes who waits for a change. Call with mu held.
func (st *kvStream) notify() {
	if st.changed != nil {
		close(st.changed)
		st.changed = nil
	}
}
