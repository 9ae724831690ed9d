package sse

import (
	"context"
	"iter"
	"slices"
	"time"
)

const (
	// kvChunk is how many positions are read at a time.
	kvChunk = 128
	// kvChunkBytes is what a chunk may have before the next one is smaller.
	kvChunkBytes = 1 << 20
)

// newest is look for Open: its head is a position where something is, or zero.
func (s *kvReplay) newest(ctx context.Context, st *kvStream) (kvView, error) {
	for {
		v, err := s.look(ctx, st, true)
		if err != nil || s.leased || v.head == 0 {
			return v, err
		}
		r := kvReader{s: s, st: st, epoch: v.epoch, chunk: kvChunk}
		from := v.head - min(v.head, kvChunk)
		chunk, err := r.read(ctx, from, v.head)
		if err != nil {
			return v, err
		}
		for _, p := range slices.Backward(chunk) {
			if p.kind != kvMissing {
				v.head = p.position
				return v, nil
			}
		}
		// Nothing is there yet, or any more. An append that is under way ends within a bounded time.
		found, err := r.await(ctx, v.head, from)
		if err != nil {
			return v, err
		}
		if found {
			continue
		}
		if _, err := s.fill(ctx, st, v.epoch, v.head, kvHole); err != nil {
			return v, err
		}
	}
}

// Since implements [ReplayStore]. It asks the KV for up to 128 records at a time.
func (s *kvReplay) Since(ctx context.Context, stream, lastID string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s.read(ctx, stream, lastID, false, yield)
	}
}

// Follow implements [Follower]. It looks for new records every FollowInterval, and at once when this store has
// appended one.
func (s *kvSharedReplay) Follow(ctx context.Context, stream, lastID string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s.read(ctx, stream, lastID, true, yield)
	}
}

func (s *kvReplay) read(ctx context.Context, stream, lastID string, follow bool, yield func(Record, error) bool) {
	ctx, cancel := s.until(ctx)
	defer cancel()
	st, err := s.use(ctx, stream)
	if err != nil {
		yield(Record{}, kvFailed(ctx, "read", stream, err))
		return
	}
	defer s.release(st)
	r, err := s.seek(ctx, st, lastID, follow)
	for err == nil && r != nil {
		changed := st.change()
		if err = r.run(ctx, yield); err != nil || r.left || !follow {
			break
		}
		err = r.wait(ctx, changed)
	}
	if err != nil && (r == nil || !r.left) {
		yield(Record{}, kvFailed(ctx, "read", stream, err))
	}
}

// seek returns a reader behind lastID, nil for the beginning of a stream that doesn't exist.
func (s *kvReplay) seek(ctx context.Context, st *kvStream, lastID string, create bool) (*kvReader, error) {
	var epoch string
	var position uint64
	if lastID != "" {
		var err error
		if epoch, position, err = ParseID(lastID); err != nil {
			return nil, err
		}
	}
	v, err := s.look(ctx, st, create && lastID == "")
	if err != nil {
		return nil, err
	}
	r := &kvReader{s: s, st: st, epoch: v.epoch, head: v.head, fresh: true, chunk: kvChunk}
	switch {
	case lastID == "" && v.epoch == nil:
		return nil, nil
	case lastID == "":
		r.all, r.cursor = true, v.trimmed
		return r, nil
	case v.epoch == nil, epoch != v.epoch.id, position > v.head, position < v.trimmed:
		return nil, ErrLastIDUnknown
	}
	r.cursor = position
	return r, nil
}

// kvReader goes along a stream.
type kvReader struct {
	s      *kvReplay
	st     *kvStream
	epoch  *kvEpoch
	cursor uint64 // newest position that was read
	head   uint64 // newest position to be read
	fresh  bool   // nothing was read yet
	all    bool   // it began with what was there, not with an ID
	left   bool   // the loop was left
	chunk  int
}

// run yields what lies in (cursor, head].
func (r *kvReader) run(ctx context.Context, yield func(Record, error) bool) error {
	for r.cursor < r.head {
		chunk, err := r.read(ctx, r.cursor, min(r.head, r.cursor+uint64(r.chunk)))
		if err != nil {
			return err
		}
		size := 0
		for _, p := range chunk {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if p.kind == kvMissing {
				break
			}
			r.cursor, r.fresh = r.cursor+1, false
			size += p.size
			if p.kind == kvVoid {
				continue
			}
			p.record.ID = FormatID(r.epoch.id, r.cursor)
			if !yield(p.record, nil) {
				r.left = true
				return nil
			}
		}
		switch {
		case size > kvChunkBytes && r.chunk > 1:
			r.chunk /= 2
		case size < kvChunkBytes/4 && r.chunk < kvChunk:
			r.chunk *= 2
		}
		if missing := chunk[len(chunk)-1].position - r.cursor; missing > 0 && r.cursor < r.head {
			if err := r.absent(ctx, chunk[len(chunk)-int(missing):]); err != nil {
				return err
			}
		}
	}
	return nil
}

// kvPlace is what was found at a position.
type kvPlace struct {
	position uint64
	kind     byte
	pending  *kvAppend // this process is about to store it
	record   Record    // without its ID
	size     int
}

// read returns what is at the positions of (from, to].
func (r *kvReader) read(ctx context.Context, from, to uint64) ([]kvPlace, error) {
	places := make([]kvPlace, to-from)
	keys := make([]string, 0, len(places))
	// What is not pending now was stored before it is asked for.
	r.st.mu.Lock()
	for i := range places {
		p := &places[i]
		p.position = from + 1 + uint64(i)
		p.pending = r.epoch.pending[p.position]
		if p.pending != nil && r.s.config.AsyncAppend {
			p.kind, p.record = kvEvent, p.pending.record
			p.size = len(p.record.Event.Data)
			p.record.Topics = append([]string(nil), p.record.Topics...)
		}
	}
	r.st.mu.Unlock()
	for i := range places {
		if places[i].kind == kvMissing {
			keys = append(keys, r.st.keys.record(r.epoch.id, places[i].position))
		}
	}
	if len(keys) == 0 {
		return places, nil
	}
	values, err := r.s.kv.getAll(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for i := range places {
		p := &places[i]
		if p.kind != kvMissing {
			continue
		}
		key, value := keys[0], values[0]
		keys, values = keys[1:], values[1:]
		if value == nil {
			continue
		}
		p.size = len(value)
		if p.kind, p.record, err = parseKVRecord(key, value); err != nil {
			p.kind, p.record = kvHole, Record{Hole: true}
		}
	}
	return places, nil
}

// absent deals with the first of these places, which has no record: it is still on its way, it was lost, or it is no
// longer kept. When absent returns nil, the reader goes on from its cursor.
func (r *kvReader) absent(ctx context.Context, places []kvPlace) error {
	v, err := r.s.look(ctx, r.st, false)
	if err != nil {
		return err
	}
	first := places[0].position
	if v.epoch != r.epoch {
		return ErrLastIDUnknown
	}
	if first <= v.trimmed {
		return r.skip(min(v.trimmed, r.head))
	}
	run := 0
	for run < len(places) && places[run].kind == kvMissing {
		run++
	}
	near := v.head-first < kvInFlight
	if near {
		if found, err := r.awaitPlace(ctx, places[0]); err != nil || found {
			return err
		}
	}
	// What a client has seen was stored: if its record is gone, then by its age, and so are those around it.
	if r.fresh && !r.all && r.cursor > 0 {
		value, err := r.s.kv.get(ctx, r.st.keys.record(r.epoch.id, r.cursor))
		if err != nil {
			return err
		}
		if value == nil {
			return r.expired(first)
		}
	}
	if r.fresh && r.all && run < len(places) || run >= kvChunk/2 {
		return r.expired(places[run-1].position)
	}
	for _, p := range places {
		if p.kind != kvMissing || p.pending != nil {
			continue
		}
		if _, err := r.s.fill(ctx, r.st, r.epoch, p.position, kvHole); err != nil {
			return err
		}
	}
	if r.all && r.fresh {
		return r.expired(places[run-1].position)
	}
	return nil
}

// expired notes that records up to a position aren't kept any more, and goes on behind it if it may.
func (r *kvReader) expired(position uint64) error {
	r.st.mu.Lock()
	r.epoch.floor = max(r.epoch.floor, position)
	r.st.mu.Unlock()
	return r.skip(position)
}

// skip goes to a position without reading up to it. Only who asked for what is there may, before anything was read.
func (r *kvReader) skip(position uint64) error {
	if !r.all || !r.fresh {
		return ErrLastIDUnknown
	}
	r.cursor = max(r.cursor, position)
	return nil
}

// awaitPlace waits until there is something at a place, and reports whether there is.
func (r *kvReader) awaitPlace(ctx context.Context, p kvPlace) (bool, error) {
	if p.pending != nil {
		return true, r.settled(ctx, p)
	}
	if r.s.leased {
		return false, nil // nobody else writes
	}
	return r.await(ctx, p.position, p.position-1)
}

// settled waits until a record of this process is settled, or has another position.
func (r *kvReader) settled(ctx context.Context, p kvPlace) error {
	for {
		changed := r.st.change()
		r.st.mu.Lock()
		waiting := r.epoch.pending[p.position] == p.pending
		r.st.mu.Unlock()
		if !waiting {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// await waits twice Timeout, the time in which an append ends, for something in (from, to], and reports whether it came.
func (r *kvReader) await(ctx context.Context, to, from uint64) (bool, error) {
	deadline := time.Now().Add(2 * r.s.config.Timeout)
	keys := r.st.keys.records(r.epoch.id, from+1, int(to-from))
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, r.s.config.FollowInterval) {
		rest := time.Until(deadline)
		if rest <= 0 {
			return false, nil
		}
		if !sleep(ctx, min(pause, rest)) {
			return false, context.Cause(ctx)
		}
		values, err := r.s.kv.getAll(ctx, keys...)
		if err != nil {
			return false, err
		}
		for _, value := range values {
			if value != nil {
				return true, nil
			}
		}
	}
}

// wait returns when there is more to read than up to head, and sets that. It looks at once when changed is closed.
func (r *kvReader) wait(ctx context.Context, changed <-chan struct{}) error {
	light := 0
	for ; ; changed = r.st.change() {
		timer := time.NewTimer(r.s.config.FollowInterval)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// A KV that can't return many values at a time is asked for the counter alone, most of the time.
		if r.s.kv.many == nil && light%8 != 7 {
			light++
			value, err := r.s.kv.get(ctx, r.st.keys.count(r.epoch.id))
			if err != nil {
				return err
			}
			if position, ok := parseCounter(value); ok && position == r.head {
				continue
			}
		}
		light = 0
		v, err := r.s.look(ctx, r.st, false)
		if err != nil {
			return err
		}
		if v.epoch != r.epoch {
			return ErrLastIDUnknown
		}
		if r.cursor < v.trimmed {
			return ErrLastIDUnknown
		}
		if v.head > r.head {
			r.head = v.head
			return nil
		}
	}
}
