package sse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/goceleris/celeris/internal/fanout"
)

const (
	// loadTimeout bounds how long a store may take to hand out a history.
	loadTimeout = 10 * time.Second
	// keyedAge is the HistoryAge of a log that mirrors a store, whose own retention decides.
	keyedAge = 365 * 24 * time.Hour
)

// errForked means that a history is no longer the one that its clients follow.
var errForked = errors.New("sse: history was replaced in its store")

// load makes a log of what the store retains. Others wait for it too: it goes on when the first client leaves.
func (e *keyed) load(ctx context.Context) (*fanout.Core, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
	defer cancel()
	epoch, head, err := e.keys.store.Open(ctx, e.name)
	if err != nil {
		return nil, fmt.Errorf("sse: open history %q: %w", e.name, err)
	}
	var records []Record
	floor, hole := fanout.Position(head), false
	for r, err := range e.keys.store.Since(ctx, e.name, "") {
		if err != nil {
			return nil, fmt.Errorf("sse: read history %q: %w", e.name, err)
		}
		_, p, ok := fanout.ParseID(r.ID)
		switch {
		case !ok || p == 0:
			return nil, fmt.Errorf("sse: read history %q: record id %q is no position", e.name, r.ID)
		case r.Hole: // who comes from before it is told
			records, floor, hole = nil, p, true
			continue
		case len(records) == 0 && !hole:
			floor = p - 1
		}
		records = append(records, r)
	}
	cfg := fanout.Config{
		Framing: framing{}, Epoch: epoch, Floor: floor, Logger: e.keys.logger,
		History: max(len(records), fanout.DefaultHistory), HistoryAge: keyedAge, MaxTopics: 1,
		MaxFrame: math.MaxInt32, // what the store took is part of the history
	}
	core := fanout.NewCore(cfg)
	for _, r := range records {
		if err := insert(ctx, core, r); err != nil {
			return nil, errors.Join(fmt.Errorf("sse: read history %q: %w", e.name, err), core.Stop(ctx))
		}
	}
	if f, ok := e.keys.store.(Follower); ok {
		var following context.Context
		following, e.stop = context.WithCancel(context.WithoutCancel(ctx))
		e.following.Go(func() { e.follow(following, f, core) })
	}
	return core, nil
}

// stored reports whether a store that is followed, so that it may have several readers, has all that came after lastID.
func (e *keyed) stored(ctx context.Context, lastID string) bool {
	if _, ok := e.keys.store.(Follower); !ok {
		return false
	}
	for _, err := range e.keys.store.Since(ctx, e.name, lastID) {
		if err != nil {
			return false
		}
	}
	return true
}

// follow brings what is appended to the store into the log, whoever appended it, until ctx ends.
func (e *keyed) follow(ctx context.Context, f Follower, core *fanout.Core) {
	for r, err := range f.Follow(ctx, e.name, string(fanout.AppendID(nil, core.Epoch(), core.Head()))) {
		if err == nil {
			err = e.merge(ctx, core, r)
		}
		if err != nil {
			if ctx.Err() == nil {
				e.replaced(core, err)
			}
			return
		}
	}
}

// merge puts a record into the log, unless it is there.
func (e *keyed) merge(ctx context.Context, core *fanout.Core, r Record) error {
	select {
	case e.appending <- struct{}{}:
		defer func() { <-e.appending }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if _, p, _ := fanout.ParseID(r.ID); p <= core.Head() {
		return nil
	}
	if r.Hole {
		return errForked
	}
	return insert(ctx, core, r)
}

// insert puts a record of the store into a log.
func insert(ctx context.Context, core *fanout.Core, r Record) error {
	epoch, p, ok := fanout.ParseID(r.ID)
	if !ok || epoch != core.Epoch() {
		return errForked
	}
	ev := r.Event
	ev.ID = ""
	frame, err := ev.wire()
	if err != nil {
		return err
	}
	return core.Insert(ctx, p, frame, "")
}

// append stores an event and brings the log up to it.
func (e *keyed) append(ctx context.Context, ev Event) error {
	select {
	case e.appending <- struct{}{}:
		defer func() { <-e.appending }()
	case <-ctx.Done():
		return ErrClientClosed
	}
	_, followed := e.keys.store.(Follower)
	previous, id, err := e.keys.store.Append(ctx, e.name, Record{Event: ev})
	if err != nil && (followed || !errors.Is(err, ErrOutcomeUnknown)) {
		return fmt.Errorf("sse: append to history %q: %w", e.name, err)
	}
	unknown := err
	head := string(fanout.AppendID(nil, e.core.Epoch(), e.core.Head()))
	// The log may take long to deliver, but what is stored belongs into it whatever becomes of this client.
	ctx = context.WithoutCancel(ctx)
	switch {
	case unknown == nil && previous == head:
		err = insert(ctx, e.core, Record{ID: id, Event: ev})
	case followed: // it comes by itself, in its turn
	default:
		err = e.catchUp(ctx, head)
	}
	if err != nil && !errors.Is(err, fanout.ErrClosed) { // its clients have left: the store has the event for them
		e.replaced(e.core, err)
	}
	if unknown != nil {
		return fmt.Errorf("sse: append to history %q: %w", e.name, unknown)
	}
	return nil
}

// catchUp reads what others have stored.
func (e *keyed) catchUp(ctx context.Context, head string) error {
	for r, err := range e.keys.store.Since(ctx, e.name, head) {
		if err != nil {
			return err
		}
		if r.Hole {
			return errForked
		}
		if err := insert(ctx, e.core, r); err != nil {
			return err
		}
	}
	return nil
}

// replaced ends the streams of a history that can't be followed any more; those who return find the store's.
func (e *keyed) replaced(core *fanout.Core, err error) {
	core.Refuse() // nobody joins behind the last look at its members
	e.keys.logger.LogAttrs(context.Background(), slog.LevelWarn, "history lost its place in the store",
		slog.String("key", e.name), slog.Any("error", err))
	e.keys.mu.Lock()
	if e.keys.open[e.name] == e {
		delete(e.keys.open, e.name)
	}
	e.keys.mu.Unlock()
	for _, m := range core.Members() {
		clientOf(m).say(err, false)
	}
}
