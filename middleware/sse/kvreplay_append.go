package sse

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
)

// kvTries is how often a record may lose its position.
const kvTries = 8

// kvAppend is a record on its way.
type kvAppend struct {
	st     *kvStream
	record Record
	nonce  uint64

	epoch    *kvEpoch // set with position, before it is pending
	position uint64
	group    *kvGroup // of a shared stream
	tries    int

	taken   bool // out of the queue; guarded by kvStream.mu
	settled bool // guarded by kvStream.mu
	err     error
	done    chan struct{} // closed when err is set and position is final
}

// newAppend returns a record that holds its stream until it is settled.
func (s *kvReplay) newAppend(st *kvStream, record Record) *kvAppend {
	s.hold(st)
	record.Topics = slices.Clone(record.Topics)
	return &kvAppend{st: st, record: record, nonce: rand.Uint64(), done: make(chan struct{})}
}

// ids returns the ID before the record's own, and that.
func (a *kvAppend) ids() (previous, id string) {
	return FormatID(a.epoch.id, a.position-1), FormatID(a.epoch.id, a.position)
}

// kvGroup are records that took their positions together.
type kvGroup struct {
	verified chan struct{}
	err      error // errEpochOver, or why it isn't known whether the epoch is in force
}

// Append implements [ReplayStore]. When ctx ends while the record is being stored, that goes on, and the error is
// [ErrOutcomeUnknown] as well as that of ctx. Previous may be a position where nothing came to be.
func (s *kvReplay) Append(ctx context.Context, stream string, record Record) (previous, id string, err error) {
	if record.ID != "" || record.Event.ID != "" {
		return "", "", ErrIDReserved
	}
	if !s.begin() {
		return "", "", fmt.Errorf("sse: append to stream %q: %w", stream, ErrStoreClosed)
	}
	defer s.writes.Done()
	ctx, cancel := s.until(ctx)
	defer cancel()
	st, err := s.use(ctx, stream)
	if err != nil {
		return "", "", kvFailed(ctx, "append to", stream, err)
	}
	defer s.release(st)
	a := s.newAppend(st, record)
	if s.config.AsyncAppend {
		if err = s.appendLater(ctx, a); err != nil {
			s.release(st)
		}
	} else {
		s.enqueue(a)
		err = s.wait(ctx, a)
	}
	if err != nil {
		return "", "", fmt.Errorf("sse: append to stream %q: %w", stream, err)
	}
	previous, id = a.ids()
	return previous, id, nil
}

// enqueue puts the record in line for a position.
func (s *kvReplay) enqueue(a *kvAppend) {
	st := a.st
	st.mu.Lock()
	st.queue = append(st.queue, a)
	begin := !st.committing
	st.committing = true
	st.mu.Unlock()
	if begin {
		s.writes.Go(func() { s.commit(st) })
	}
}

// begin counts an append that Close has to wait for, until writes.Done, unless the store is closed.
func (s *kvReplay) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.writes.Add(1)
	}
	return !s.closed
}

// wait returns when the record is settled. At the end of ctx it takes the record back if that is still possible.
func (s *kvReplay) wait(ctx context.Context, a *kvAppend) error {
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
	}
	a.st.mu.Lock()
	settled, taken := a.settled, a.taken
	if !taken {
		a.st.queue = slices.DeleteFunc(a.st.queue, func(b *kvAppend) bool { return a == b })
	}
	a.st.mu.Unlock()
	switch {
	case settled:
		return a.err
	case !taken:
		s.release(a.st)
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, context.Cause(ctx))
}

// settle ends the record's way. A nil err means that it is stored.
func (s *kvReplay) settle(a *kvAppend, err error) {
	a.st.mu.Lock()
	a.unpend()
	a.settled, a.err = true, err
	close(a.done)
	a.st.notify()
	a.st.mu.Unlock()
	s.release(a.st)
}

// unpend gives up the record's position. Call with the stream's mu held.
func (a *kvAppend) unpend() {
	if a.epoch != nil && a.epoch.pending[a.position] == a {
		delete(a.epoch.pending, a.position)
	}
}

// commit gives positions to what is queued, a group at a time, until nothing is.
func (s *kvReplay) commit(st *kvStream) {
	for {
		st.mu.Lock()
		n := min(len(st.queue), maxKVGroup)
		if n == 0 {
			st.queue, st.committing = nil, false
			st.mu.Unlock()
			return
		}
		batch := slices.Clone(st.queue[:n])
		st.queue = slices.Delete(st.queue, 0, n)
		for _, a := range batch {
			a.taken = true
		}
		st.mu.Unlock()
		if err := s.commitGroup(st, batch); err != nil {
			for _, a := range batch {
				s.settle(a, err)
			}
		}
	}
}

// commitGroup takes positions for the batch and begins to write. After an error nothing was begun.
func (s *kvReplay) commitGroup(st *kvStream, batch []*kvAppend) error {
	ctx, cancel := context.WithTimeout(s.work, 2*s.config.Timeout)
	defer cancel()
	var e *kvEpoch
	var first uint64
	for hops := 0; ; hops++ {
		var err error
		if e, err = s.known(ctx, st, true); err == nil {
			first, err = s.take(ctx, st, e, len(batch))
		}
		if err == nil {
			break
		}
		if !errors.Is(err, errEpochOver) || hops == maxKVHops {
			return err
		}
	}
	g := &kvGroup{verified: make(chan struct{})}
	st.mu.Lock()
	for i, a := range batch {
		a.epoch, a.position, a.group = e, first+uint64(i), g
		e.pending[a.position] = a
	}
	e.taken = max(e.taken, first+uint64(len(batch))-1)
	e.head = e.taken
	st.mu.Unlock()
	if s.leased {
		close(g.verified)
	} else {
		s.writes.Go(func() { s.verify(st, e, g) })
	}
	for _, a := range batch {
		s.slots <- struct{}{} // every holder gives it back within a bounded time
		s.writes.Go(func() {
			defer func() { <-s.slots }()
			s.write(a)
		})
	}
	return nil
}

// verify finds out whether the epoch was still in force when the group had its positions.
func (s *kvReplay) verify(st *kvStream, e *kvEpoch, g *kvGroup) {
	defer close(g.verified)
	ctx, cancel := context.WithTimeout(s.work, s.config.Timeout)
	defer cancel()
	values, err := s.kv.getAll(ctx, st.keys.epoch(), st.keys.next(e.id))
	ok := false
	if err == nil {
		ok, err = s.inForce(ctx, st, e, values[0], values[1])
	}
	if err == nil && !ok {
		st.leave(e)
		err = errEpochOver
	}
	g.err = err
}

// take takes n positions and returns the first. It returns errEpochOver if the counter was lost, or the lease.
func (s *kvReplay) take(ctx context.Context, st *kvStream, e *kvEpoch, n int) (first uint64, err error) {
	st.mu.Lock()
	seen := e.taken
	held := !s.leased || st.held() && st.epoch == e
	st.mu.Unlock()
	if !held {
		return 0, errEpochOver
	}
	key := st.keys.count(e.id)
	if s.kv.counter == nil {
		return seen + 1, s.kv.Set(ctx, key, formatCounter(seen+uint64(n)), s.metaTTL)
	}
	sum, err := s.kv.counter.Increment(ctx, key, int64(n), s.metaTTL)
	if err != nil {
		if s.leased {
			// Nobody else takes positions: those that are gone are this store's.
			value, getErr := s.kv.get(ctx, key)
			if position, ok := parseCounter(value); getErr == nil && ok && position >= seen+uint64(n) {
				return seen + 1, nil
			}
		}
		if ctx.Err() == nil {
			if lost := s.lost(ctx, st, e, seen); lost != nil && errors.Is(lost, errEpochOver) {
				return 0, lost
			}
		}
		return 0, err
	}
	first = uint64(sum) - kvBase - uint64(n) + 1
	if sum < kvBase+int64(n) || first <= seen {
		if err := s.replace(ctx, st, e.id); err != nil {
			return 0, err
		}
		return 0, errEpochOver
	}
	if s.leased {
		return first, s.fillGap(ctx, st, e, seen+1, first)
	}
	return first, nil
}

// fillGap says that nothing is in [from, to): positions that were taken by a call whose answer was lost.
func (s *kvReplay) fillGap(ctx context.Context, st *kvStream, e *kvEpoch, from, to uint64) error {
	const most = 8 * maxKVBlock
	if to > from+most {
		if err := s.replace(ctx, st, e.id); err != nil {
			return err
		}
		return errEpochOver
	}
	return each(ctx, kvGets, int(to-from), func(ctx context.Context, i int) error {
		return s.fillSurely(ctx, st, e, from+uint64(i), kvVoid)
	})
}
