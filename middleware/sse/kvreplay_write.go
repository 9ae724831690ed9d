package sse

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// kvRetry is the first pause before a write is tried again.
const kvRetry = 20 * time.Millisecond

var (
	errLostPosition = errors.New("another process gave up waiting for the record")
	errWentBack     = errors.New("the position has another record")
)

// put stores the record at its position. Afterwards it is there, or it is nowhere and never will be, or
// the error is ErrOutcomeUnknown. It is errLostPosition if the position is a hole now, and errWentBack if it
// has the record of somebody else.
func (s *kvReplay) put(ctx context.Context, a *kvAppend) error {
	key := a.st.keys.record(a.epoch.id, a.position)
	kind := byte(kvEvent)
	if a.record.Hole {
		kind = kvHole
	}
	blob := appendKVRecord(nil, key, kind, a.nonce, a.record)
	var err error
	for pause := kvRetry; ; pause *= 2 {
		var stored bool
		if stored, err = s.setRecord(ctx, key, blob); err == nil {
			if stored {
				return nil
			}
			if err = s.whose(ctx, key, a.nonce); err == nil || errors.Is(err, errLostPosition) || errors.Is(err, errWentBack) {
				return err
			}
		}
		if pause > 4*kvRetry || !sleep(ctx, pause) {
			break
		}
	}
	if s.kv.nx == nil {
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	// A void in its place is proof that the record isn't stored, and never will be.
	ctx, cancel := context.WithTimeout(s.work, s.config.Timeout/4)
	defer cancel()
	void := appendKVRecord(nil, key, kvVoid, a.nonce, Record{})
	stored, settleErr := s.kv.nx.SetNX(ctx, key, void, s.config.TTL)
	if settleErr == nil && !stored {
		settleErr = s.whose(ctx, key, a.nonce)
		if settleErr == nil || errors.Is(settleErr, errLostPosition) {
			return settleErr
		}
	}
	if stored {
		return err
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
}

// setRecord sets a record's key and reports whether it did: it was free, or can't be anybody else's.
func (s *kvReplay) setRecord(ctx context.Context, key string, blob []byte) (bool, error) {
	if s.kv.nx != nil {
		return s.kv.nx.SetNX(ctx, key, blob, s.config.TTL)
	}
	return true, s.kv.Set(ctx, key, blob, s.config.TTL)
}

// whose returns nil if the key's record has this nonce.
func (s *kvReplay) whose(ctx context.Context, key string, nonce uint64) error {
	blob, err := s.kv.get(ctx, key)
	if err != nil {
		return err
	}
	if blob == nil {
		return errors.New("the record was there and is gone")
	}
	kind, _, err := parseKVRecord(key, blob)
	switch {
	case err == nil && kind != kvVoid && kvNonce(blob) == nonce:
		return nil
	case err == nil && kind == kvEvent:
		return errWentBack
	}
	return errLostPosition
}

// fill puts a hole or a void at a position, unless something is there, and reports whether it did.
func (s *kvReplay) fill(ctx context.Context, st *kvStream, e *kvEpoch, position uint64, kind byte) (bool, error) {
	key := st.keys.record(e.id, position)
	return s.kv.setNew(ctx, key, appendKVRecord(nil, key, kind, 0, Record{}), s.config.TTL)
}

// fillSurely is fill that tries again.
func (s *kvReplay) fillSurely(ctx context.Context, st *kvStream, e *kvEpoch, position uint64, kind byte) error {
	for pause := kvRetry; ; pause *= 2 {
		_, err := s.fill(ctx, st, e, position, kind)
		if err == nil || pause > 4*kvRetry || !sleep(ctx, pause) {
			return err
		}
	}
}

// write stores a record, and settles it or gives it another try.
func (s *kvReplay) write(a *kvAppend) {
	ctx, cancel := context.WithTimeout(s.work, s.config.Timeout)
	defer cancel()
	err := errEpochOver
	if !s.leased || s.current(a.st) == a.epoch {
		err = s.put(ctx, a)
	}
	if err == nil {
		<-a.group.verified
		if err = a.group.err; err != nil && !errors.Is(err, errEpochOver) {
			err = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
		}
	}
	if errors.Is(err, errWentBack) {
		if replaceErr := s.replace(ctx, a.st, a.epoch.id); replaceErr != nil {
			err = replaceErr
		} else {
			err = errEpochOver
		}
	}
	if a.tries++; a.tries < kvTries && (errors.Is(err, errEpochOver) || errors.Is(err, errLostPosition)) {
		s.again(a)
		return
	}
	position := a.position
	s.settle(a, err)
	if err == nil {
		s.tidy(ctx, a.st, a.epoch, position)
	}
}

// again puts a record that has lost its position in line for another.
func (s *kvReplay) again(a *kvAppend) {
	st := a.st
	st.mu.Lock()
	a.unpend()
	st.queue = append(st.queue, a)
	begin := !st.committing
	st.committing = true
	st.notify()
	st.mu.Unlock()
	if begin {
		s.writes.Go(func() { s.commit(st) })
	}
}

// tidy removes the one record that the new one displaces, and writes the mark once in a while. What fails here is made
// up for by TTL, and by the next mark.
func (s *kvReplay) tidy(ctx context.Context, st *kvStream, e *kvEpoch, position uint64) {
	kept := uint64(s.config.MaxEvents)
	if position > kept {
		_ = s.kv.Delete(ctx, st.keys.record(e.id, position-kept))
	}
	if position%kvMarkEvery == 0 {
		m := kvMark{head: position}
		if position > kept {
			m.trimmed = position - kept
		}
		key := st.keys.mark(e.id)
		_ = s.kv.Set(ctx, key, m.blob(key), s.metaTTL)
	}
}

// sleep waits, and reports false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
