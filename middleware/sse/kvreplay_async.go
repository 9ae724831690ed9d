package sse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	minKVBlock = 8
	maxKVBlock = 256
	// kvOpenReach is how far positions may be ahead of what is stored, beside the backlog.
	kvOpenReach = 8 * maxKVBlock
)

// kvBacklog are records that wait for a worker, oldest first.
type kvBacklog struct {
	mu      sync.Mutex // guards all below
	queue   []*kvAppend
	workers int
	under   map[*kvAppend]struct{} // what is not settled
	failed  error                  // first since the last Flush
	reports []kvReport
	telling bool // a goroutine calls OnError
}

type kvReport struct {
	stream, id string
	err        error
}

// appendLater gives the record a position of the block and leaves the rest to workers.
func (s *kvReplay) appendLater(ctx context.Context, a *kvAppend) error {
	if s.waiting.Add(1) > int64(s.config.AsyncAppendBacklog) {
		s.waiting.Add(-1)
		return ErrStoreBehind
	}
	st := a.st
	for range maxKVHops {
		e, err := s.known(ctx, st, true)
		if err != nil {
			s.waiting.Add(-1)
			return err
		}
		st.mu.Lock()
		if st.held() && st.epoch == e && !st.block.empty(e) {
			a.epoch, a.position = e, st.block.next
			st.block.next++
			e.head = a.position
			e.pending[a.position] = a
			e.order = append(e.order, a)
			st.notify()
			st.mu.Unlock()
			s.store(a)
			return nil
		}
		st.mu.Unlock()
		if err := s.takeBlock(ctx, st, e); err != nil && !errors.Is(err, errEpochOver) {
			s.waiting.Add(-1)
			return err
		}
	}
	s.waiting.Add(-1)
	return errEpochsChange
}

// takeBlock takes positions for the next appends, more each time.
func (s *kvReplay) takeBlock(ctx context.Context, st *kvStream, e *kvEpoch) error {
	if err := st.takeTurn(ctx); err != nil {
		return err
	}
	defer st.endTurn()
	st.mu.Lock()
	size := min(max(2*st.block.size, minKVBlock), maxKVBlock)
	enough := st.epoch == e && !st.block.empty(e)
	low := e.stored()
	st.mu.Unlock()
	if enough {
		return nil
	}
	// Whoever finds this mark looks for positions that were used and not stored.
	open := st.keys.open(e.id)
	if err := s.kv.Set(ctx, open, signed(open, strconv.FormatUint(low, 10)), s.metaTTL); err != nil {
		return err
	}
	first, err := s.take(ctx, st, e, size)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	e.taken = first + uint64(size) - 1
	e.head = first - 1
	st.block = kvBlock{epoch: e, next: first, end: e.taken, size: size}
	return nil
}

// stored returns the newest position up to which everything is stored. Call with the stream's mu held.
func (e *kvEpoch) stored() uint64 {
	for len(e.order) > 0 && e.order[0].settled {
		e.order[0] = nil
		e.order = e.order[1:]
	}
	if len(e.order) > 0 {
		return e.order[0].position - 1
	}
	return e.head
}

// store hands a record to a worker.
func (s *kvReplay) store(a *kvAppend) {
	b := &s.backlog
	b.mu.Lock()
	b.queue = append(b.queue, a)
	if b.under == nil {
		b.under = make(map[*kvAppend]struct{})
	}
	b.under[a] = struct{}{}
	begin := b.workers < s.config.AsyncAppendConcurrency
	if begin {
		b.workers++
	}
	b.mu.Unlock()
	if begin {
		s.writes.Go(s.storeQueued)
	}
}

// storeQueued is a worker. It ends when nothing is queued.
func (s *kvReplay) storeQueued() {
	b := &s.backlog
	for {
		b.mu.Lock()
		if len(b.queue) == 0 {
			b.queue = nil
			b.workers--
			b.mu.Unlock()
			return
		}
		a := b.queue[0]
		b.queue[0] = nil
		b.queue = b.queue[1:]
		b.mu.Unlock()
		err := s.persist(a)
		s.finish(a, err)
		if err == nil {
			ctx, cancel := context.WithTimeout(s.work, s.config.Timeout)
			s.tidy(ctx, a.st, a.epoch, a.position)
			cancel()
		}
	}
}

// persist stores the record, or a hole in its place. It tries for as long as there is hope.
func (s *kvReplay) persist(a *kvAppend) error {
	began, hole := time.Now(), false
	var lost error // why the record can't be stored
	for pause := kvRetry; ; pause = min(2*pause, time.Second) {
		ctx, cancel := context.WithTimeout(s.work, s.config.Timeout)
		_, err := s.known(ctx, a.st, true) // with its lease
		if err == nil && hole {
			_, err = s.fill(ctx, a.st, a.epoch, a.position, kvHole)
			if err == nil {
				cancel()
				return lost
			}
		} else if err == nil {
			err = s.put(ctx, a)
		}
		cancel()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errLostPosition), errors.Is(err, errWentBack), hole && errors.Is(err, ErrStreamInUse):
			if errors.Is(err, ErrStreamInUse) {
				s.spoil(a)
			}
			return cmp.Or(lost, err)
		case time.Since(began) > kvAsyncPatience && !hole:
			hole, lost = true, err
		}
		if !sleep(s.work, pause) {
			s.spoil(a)
			return fmt.Errorf("%w: %w", context.Cause(s.work), err)
		}
	}
}

// spoil notes that there may be nothing at the record's position.
func (s *kvReplay) spoil(a *kvAppend) {
	a.st.mu.Lock()
	a.epoch.unclean = true
	a.st.mu.Unlock()
}

// finish settles a record and tells of its failure.
func (s *kvReplay) finish(a *kvAppend, err error) {
	_, id := a.ids()
	b := &s.backlog
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.under, a)
	s.settle(a, err)
	s.waiting.Add(-1)
	if err == nil {
		return
	}
	err = fmt.Errorf("sse: store %s of stream %q: %w", id, a.st.name, err)
	if b.failed == nil {
		b.failed = err
	}
	if s.config.OnError == nil || len(b.reports) >= maxKVPendingReports {
		return
	}
	b.reports = append(b.reports, kvReport{a.st.name, id, err})
	if !b.telling {
		b.telling = true
		s.loops.Go(s.tell)
	}
}

// tell calls OnError until there is nothing to tell.
func (s *kvReplay) tell() {
	b := &s.backlog
	for {
		b.mu.Lock()
		if len(b.reports) == 0 {
			b.reports, b.telling = nil, false
			b.mu.Unlock()
			return
		}
		report := b.reports[0]
		b.reports = b.reports[1:]
		b.mu.Unlock()
		func() {
			defer func() { _ = recover() }()
			s.config.OnError(report.stream, report.id, report.err)
		}()
	}
}

// Flush implements [Flusher].
func (s *kvAsyncReplay) Flush(ctx context.Context) error {
	b := &s.backlog
	b.mu.Lock()
	under := slices.Collect(maps.Keys(b.under))
	b.mu.Unlock()
	for _, a := range under {
		select {
		case <-a.done:
		case <-ctx.Done():
			return fmt.Errorf("sse: flush: %w", context.Cause(ctx))
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.failed
	b.failed = nil
	return err
}

// all returns the streams that aren't forgotten.
func (s *kvReplay) all() []*kvStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	streams := make([]*kvStream, 0, len(s.streams))
	for _, st := range s.streams {
		streams = append(streams, st)
	}
	return streams
}

// Stored implements [Flusher]. A record that could not be stored counts when a hole has its place. It is zero for a
// stream that this store hasn't opened or appended to lately.
func (s *kvAsyncReplay) Stored(stream string) uint64 {
	s.mu.Lock()
	st := s.streams[stream]
	s.mu.Unlock()
	if st == nil {
		return 0
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.epoch == nil {
		return 0
	}
	return st.epoch.stored()
}
