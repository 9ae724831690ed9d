package sse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// A lease is a key with this store's token and a time to live. This store counts on it for less than that time, by the
// monotonic clock and from before it asked for it, so that what it has begun to write is written before another one
// can have the lease.

// acquire takes the stream's lease, or takes it again. Call with the turn.
func (s *kvReplay) acquire(ctx context.Context, st *kvStream) error {
	key, began := st.keys.lease(), time.Now()
	ttl := s.config.LeaseTTL
	var ok bool
	var err error
	if s.kv.nx != nil {
		if ok, err = s.kv.nx.SetNX(ctx, key, s.token, ttl); err == nil && !ok {
			ok, err = s.renew(ctx, st)
		}
	} else {
		ok, err = s.acquireByTime(ctx, key)
	}
	if err != nil {
		return err
	}
	if !ok {
		return ErrStreamInUse
	}
	st.mu.Lock()
	st.leaseUntil = began.Add(ttl - s.config.Timeout*3/2)
	held := st.held()
	st.mu.Unlock()
	if !held {
		return fmt.Errorf("taking the lease took longer than it lasts: %w", ErrStreamInUse)
	}
	s.keepLeases()
	return nil
}

// renew prolongs the lease if it is this store's.
func (s *kvReplay) renew(ctx context.Context, st *kvStream) (bool, error) {
	key := st.keys.lease()
	blob, err := s.kv.get(ctx, key)
	if err != nil || !bytes.Equal(blob, s.token) {
		return false, err
	}
	return true, s.kv.Set(ctx, key, s.token, s.config.LeaseTTL)
}

// acquireByTime takes a lease without an atomic operation (Fischer's algorithm): whoever finds it free writes its
// token, and has it if that is still there after a time in which everybody who found it free has written, too.
func (s *kvReplay) acquireByTime(ctx context.Context, key string) (bool, error) {
	patience := s.config.Timeout / 2
	began := time.Now()
	blob, err := s.kv.get(ctx, key)
	if err != nil || blob != nil && !bytes.Equal(blob, s.token) {
		return false, err
	}
	write, cancel := context.WithTimeout(ctx, patience/2)
	defer cancel()
	if err := s.kv.Set(write, key, s.token, s.config.LeaseTTL); err != nil {
		return false, err
	}
	if time.Since(began) > patience/2 {
		return false, errors.New("the KV is too slow for a lease")
	}
	if !sleep(ctx, patience) {
		return false, context.Cause(ctx)
	}
	blob, err = s.kv.get(ctx, key)
	return bytes.Equal(blob, s.token), err
}

// keepLeases makes sure that leases are renewed.
func (s *kvReplay) keepLeases() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.renewing || s.closed {
		return
	}
	s.renewing = true
	s.loops.Go(func() {
		for sleep(s.work, s.config.LeaseTTL/8) {
			s.mu.Lock()
			streams := make([]*kvStream, 0, len(s.streams))
			for _, st := range s.streams {
				if st.gone == nil {
					streams = append(streams, st)
				}
			}
			s.mu.Unlock()
			_ = each(s.work, kvGets, len(streams), func(ctx context.Context, i int) error {
				s.renewHeld(ctx, streams[i])
				return nil
			})
		}
	})
}

// renewHeld prolongs a lease that is held. One that somebody else has is lost at once; while the KV doesn't
// answer, it lasts as long as it did.
func (s *kvReplay) renewHeld(ctx context.Context, st *kvStream) {
	if s.current(st) == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	began := time.Now()
	ok, err := s.renew(ctx, st)
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case err != nil || !st.held():
		// Once it has ended it may have been another's: whoever needs it takes it anew, and looks what happened.
	case ok:
		st.leaseUntil = began.Add(s.config.LeaseTTL - s.config.Timeout*3/2)
	default:
		st.leaseUntil = time.Time{}
	}
}

// giveUp ends the lease, if it is still held.
func (s *kvReplay) giveUp(ctx context.Context, st *kvStream) {
	st.mu.Lock()
	held := st.held()
	st.leaseUntil = time.Time{}
	st.mu.Unlock()
	if !held {
		return
	}
	if blob, err := s.kv.get(ctx, st.keys.lease()); err == nil && bytes.Equal(blob, s.token) {
		_ = s.kv.Delete(ctx, st.keys.lease()) // it ends by itself
	}
}

// takeOver settles what the lease's last holder left at the end of an epoch: positions that it had taken and that
// have no record are holes. Positions of a block that this store has not used are void.
func (s *kvReplay) takeOver(ctx context.Context, st *kvStream, e *kvEpoch, position, trimmed uint64) error {
	key := st.keys.open(e.id)
	blob, err := s.kv.get(ctx, key)
	if err != nil {
		return err
	}
	from := position - min(position, kvInFlight)
	if blob != nil {
		from = position - min(position, kvOpenReach+uint64(s.config.AsyncAppendBacklog))
		if low, ok := unsigned(key, blob); ok {
			if n, err := strconv.ParseUint(low, 10, 64); err == nil {
				from = n
			}
		}
	}
	st.mu.Lock()
	block := st.block
	st.block = kvBlock{size: block.size}
	st.mu.Unlock()
	from = max(from, trimmed, position-min(position, uint64(s.config.MaxEvents)))
	for from < position {
		n := int(min(position-from, kvChunk))
		values, err := s.kv.getAll(ctx, st.keys.records(e.id, from+1, n)...)
		if err != nil {
			return err
		}
		if err := each(ctx, kvGets, n, func(ctx context.Context, i int) error {
			p := from + 1 + uint64(i)
			if values[i] != nil {
				return nil
			}
			kind := byte(kvHole)
			if block.epoch == e && p >= block.next && p <= block.end {
				kind = kvVoid
			}
			st.mu.Lock()
			mine := e.pending[p] != nil
			st.mu.Unlock()
			if mine {
				return nil
			}
			return s.fillSurely(ctx, st, e, p, kind)
		}); err != nil {
			return err
		}
		from += uint64(n)
	}
	if blob == nil {
		return nil
	}
	return s.kv.Delete(ctx, key)
}
