package sse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// maxKVHops bounds how often an operation starts again because the epoch was replaced.
const maxKVHops = 16

var (
	errEpochOver    = errors.New("the epoch was replaced")
	errEpochsChange = errors.New("the epoch keeps being replaced")
)

// Epochs form a chain: the epoch key names the first one, next:<epoch> the one that replaced it. Links are only ever
// added, and only where there is none, so that everybody comes to the same end. The epoch key is moved forward as a
// short cut.

// resolve returns the end of the chain. Without a chain it begins one with the given epoch, or a new one if that is
// empty, if create is set; else it returns an empty one.
func (s *kvReplay) resolve(ctx context.Context, st *kvStream, begin string, create bool) (string, error) {
	key := st.keys.epoch()
	blob, err := s.kv.get(ctx, key)
	if err != nil || blob == nil && !create {
		return "", err
	}
	if blob == nil {
		if blob, err = s.link(ctx, st, key, begin); err != nil {
			return "", err
		}
	}
	for hops := range maxKVHops {
		epoch, ok := unsigned(key, blob)
		if !ok || !validEpoch(epoch) {
			// A damaged link leads on from a name made of the damage.
			epoch, ok = fmt.Sprintf("damaged%08x", kvSum(key, blob)), false
		}
		next := st.keys.next(epoch)
		following, err := s.kv.get(ctx, next)
		if err == nil && following == nil && !ok {
			following, err = s.link(ctx, st, next, "")
		}
		if err != nil {
			return "", err
		}
		if following == nil {
			if hops > 0 {
				err = s.kv.Set(ctx, st.keys.epoch(), signed(st.keys.epoch(), epoch), s.metaTTL)
			}
			return epoch, err
		}
		key, blob = next, following
	}
	return "", errEpochsChange
}

// link sets the key to an epoch, unless it has one, and returns the one it has.
func (s *kvReplay) link(ctx context.Context, st *kvStream, key, epoch string) ([]byte, error) {
	fresh := epoch == ""
	if fresh {
		// The counter is there before anybody knows the epoch, so that an epoch without is one that lost it.
		epoch = kvEpochID()
		if err := s.kv.Set(ctx, st.keys.count(epoch), formatCounter(0), s.metaTTL); err != nil {
			return nil, err
		}
	}
	blob := signed(key, epoch)
	won, err := s.kv.setNew(ctx, key, blob, s.metaTTL)
	if err == nil && won {
		return blob, nil
	}
	if err != nil {
		return nil, err
	}
	// It may have been won by a request whose answer was lost.
	there, err := s.kv.get(ctx, key)
	if err == nil && there == nil {
		err = errEpochsChange
	}
	if err == nil && fresh && !bytes.Equal(there, blob) {
		err = s.kv.Delete(ctx, st.keys.count(epoch))
	}
	return there, err
}

// replace ends an epoch, if nobody else did.
func (s *kvReplay) replace(ctx context.Context, st *kvStream, epoch string) error {
	if _, err := s.link(ctx, st, st.keys.next(epoch), ""); err != nil {
		return err
	}
	st.mu.Lock()
	if st.epoch != nil && st.epoch.id == epoch {
		st.epoch = nil
		st.notify()
	}
	st.mu.Unlock()
	return nil
}

// known returns the stream's epoch, with its lease where there are leases. It returns nil for a stream that doesn't
// exist if create isn't set.
func (s *kvReplay) known(ctx context.Context, st *kvStream, create bool) (*kvEpoch, error) {
	if e := s.current(st); e != nil {
		return e, nil
	}
	if err := st.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer st.endTurn()
	if e := s.current(st); e != nil {
		return e, nil
	}
	if s.leased {
		if !create {
			if blob, err := s.kv.get(ctx, st.keys.epoch()); err != nil || blob == nil {
				return nil, err
			}
		}
		if err := s.acquire(ctx, st); err != nil {
			return nil, err
		}
	}
	for range maxKVHops {
		id, err := s.resolve(ctx, st, "", create)
		if err != nil || id == "" {
			return nil, err
		}
		st.mu.Lock()
		e := st.epoch
		st.mu.Unlock()
		if e == nil || e.id != id {
			e = &kvEpoch{id: id, pending: make(map[uint64]*kvAppend)}
		}
		ok, err := s.enter(ctx, st, e)
		if err != nil {
			return nil, err
		}
		if ok {
			return e, nil
		}
		if err := s.replace(ctx, st, id); err != nil {
			return nil, err
		}
	}
	return nil, errEpochsChange
}

// enter learns where an epoch is. It reports false if its counter was lost or went back.
func (s *kvReplay) enter(ctx context.Context, st *kvStream, e *kvEpoch) (ok bool, err error) {
	counter, mark := st.keys.count(e.id), st.keys.mark(e.id)
	values, err := s.kv.getAll(ctx, counter, mark)
	if err != nil {
		return false, err
	}
	position, ok := parseCounter(values[0])
	m := parseMark(mark, values[1])
	st.mu.Lock()
	seen := e.taken
	st.mu.Unlock()
	if !ok || position < max(m.head, seen) {
		return false, nil
	}
	beyond, err := s.beyond(ctx, st, e, position)
	if err != nil || beyond {
		return false, err
	}
	if s.leased {
		if err := s.takeOver(ctx, st, e, position, m.trimmed); err != nil {
			return false, err
		}
	}
	// What nobody writes to for long keeps its epoch by being opened.
	if err := s.kv.Set(ctx, st.keys.epoch(), signed(st.keys.epoch(), e.id), s.metaTTL); err != nil {
		return false, err
	}
	if s.kv.counter != nil {
		if _, err := s.kv.counter.Increment(ctx, counter, 0, s.metaTTL); err != nil {
			return false, err
		}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	e.taken = max(e.taken, position)
	e.head = max(e.head, position)
	e.floor = max(e.floor, m.trimmed)
	e.based = time.Now()
	st.epoch = e
	return true, nil
}

// beyond reports whether there are records behind the position that the counter gave last.
func (s *kvReplay) beyond(ctx context.Context, st *kvStream, e *kvEpoch, position uint64) (bool, error) {
	const probed = 32
	values, err := s.kv.getAll(ctx, st.keys.records(e.id, position+1, probed)...)
	if err != nil {
		return false, err
	}
	last := uint64(0)
	for i, value := range values {
		if value != nil {
			last = position + 1 + uint64(i)
		}
	}
	if last == 0 {
		return false, nil
	}
	// Another process may have appended between the two reads.
	value, err := s.kv.get(ctx, st.keys.count(e.id))
	now, ok := parseCounter(value)
	return err == nil && (!ok || now < last), err
}

// inForce reports whether nothing replaced the epoch. It restores the epoch's key if that is gone.
func (s *kvReplay) inForce(ctx context.Context, st *kvStream, e *kvEpoch, epochKey, next []byte) (bool, error) {
	key := st.keys.epoch()
	if id, ok := unsigned(key, epochKey); ok && id == e.id && next == nil {
		st.mu.Lock()
		old := time.Since(e.based) > kvRefreshAfter
		if old {
			e.based = time.Now()
		}
		st.mu.Unlock()
		if old {
			return true, s.kv.Set(ctx, key, signed(key, e.id), s.metaTTL)
		}
		return true, nil
	}
	id, err := s.resolve(ctx, st, e.id, true)
	return id == e.id, err
}

// kvView is a stream as it is at one time.
type kvView struct {
	epoch   *kvEpoch // nil if there is no stream
	head    uint64   // newest position that is taken, with AsyncAppend used
	trimmed uint64   // newest position that is no longer kept
}

// look returns the stream as it is now. A counter that went back is noticed here.
func (s *kvReplay) look(ctx context.Context, st *kvStream, create bool) (kvView, error) {
	for range maxKVHops {
		if ctx.Err() != nil {
			return kvView{}, context.Cause(ctx)
		}
		e, err := s.known(ctx, st, create)
		if err != nil || e == nil {
			return kvView{}, err
		}
		if s.leased {
			return s.view(st, e, 0, 0), nil
		}
		st.mu.Lock()
		seen := e.taken
		st.mu.Unlock()
		mark := st.keys.mark(e.id)
		values, err := s.kv.getAll(ctx, st.keys.epoch(), st.keys.next(e.id), st.keys.count(e.id), mark)
		if err != nil {
			return kvView{}, err
		}
		ok, err := s.inForce(ctx, st, e, values[0], values[1])
		if err != nil {
			return kvView{}, err
		}
		if !ok {
			st.leave(e)
			continue
		}
		position, ok := parseCounter(values[2])
		if ok && position >= seen {
			return s.view(st, e, position, parseMark(mark, values[3]).trimmed), nil
		}
		if err := s.lost(ctx, st, e, seen); err != nil && !errors.Is(err, errEpochOver) {
			return kvView{}, err
		}
	}
	return kvView{}, errEpochsChange
}

// view puts together what was read and what is known.
func (s *kvReplay) view(st *kvStream, e *kvEpoch, position, trimmed uint64) kvView {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !s.leased {
		e.taken = max(e.taken, position)
		e.head = max(e.head, position)
	}
	e.floor = max(e.floor, trimmed)
	if kept := uint64(s.config.MaxEvents); e.head > kept {
		e.floor = max(e.floor, e.head-kept)
	}
	return kvView{e, e.head, e.floor}
}

// lost replaces the epoch, and returns errEpochOver, if its counter is really below what was seen: not in a copy that
// lags, but where it is counted.
func (s *kvReplay) lost(ctx context.Context, st *kvStream, e *kvEpoch, seen uint64) error {
	key := st.keys.count(e.id)
	n, err := s.kv.counter.Increment(ctx, key, 0, s.metaTTL)
	if err != nil {
		value, getErr := s.kv.get(ctx, key)
		if _, ok := parseCounter(value); getErr != nil || ok {
			return err
		}
		n = 0
	}
	if n >= kvBase && uint64(n)-kvBase >= seen {
		return nil
	}
	if err := s.replace(ctx, st, e.id); err != nil {
		return err
	}
	return errEpochOver
}
