package sse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/goceleris/celeris/internal/fanout"
)

// errForked means that a history is no longer the one that its clients follow.
var errForked = errors.New("sse: history was replaced in its store")

// loadTimeout bounds how long a store may take to hand out a history.
const loadTimeout = 10 * time.Second

// keys are the histories of a ReplayKey that have clients now.
type keys struct {
	store  ReplayStore
	logger *slog.Logger

	mu   sync.Mutex // guards what follows and keyed.refs
	open map[string]*keyed
}

// keyed is one history: the log of its clients mirrors that of the store, in the store's order.
type keyed struct {
	keys  *keys
	name  string
	refs  int
	ready chan struct{} // closed when core or err is set
	core  *fanout.Core
	err   error

	// appending is held from an append to the store until the log has its record, so that both have one order. A
	// store that hangs holds up the senders of this key only, each until its stream ends.
	appending chan struct{}
}

func newKeys(store ReplayStore, logger *slog.Logger) *keys {
	return &keys{store: store, logger: logger, open: make(map[string]*keyed)}
}

// acquire returns the history of that name, read from the store if it has no clients yet. The caller releases it.
func (k *keys) acquire(ctx context.Context, name string) (*keyed, error) {
	if name == "" || !utf8.ValidString(name) {
		return nil, fmt.Errorf("sse: ReplayKey returned %q: a history's name is any UTF-8 text but the empty one", name)
	}
	k.mu.Lock()
	e, ok := k.open[name]
	if !ok {
		e = &keyed{keys: k, name: name, ready: make(chan struct{}), appending: make(chan struct{}, 1)}
		k.open[name] = e
	}
	e.refs++
	k.mu.Unlock()
	if !ok {
		e.core, e.err = e.load(ctx)
		close(e.ready)
	}
	select {
	case <-e.ready:
	case <-ctx.Done():
		e.release()
		return nil, context.Cause(ctx)
	}
	if e.err != nil {
		e.release()
		return nil, e.err
	}
	return e, nil
}

// release gives a history back. The last one stops its log; what it knew is in the store.
func (e *keyed) release() {
	e.keys.mu.Lock()
	e.refs--
	last := e.refs == 0
	if last && e.keys.open[e.name] == e {
		delete(e.keys.open, e.name)
	}
	e.keys.mu.Unlock()
	if last {
		<-e.ready
		if e.core != nil {
			_ = e.core.Stop(context.Background()) // it runs no callbacks that could hold it up
		}
	}
}

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
		History: max(len(records), fanout.DefaultHistory), MaxTopics: 1,
		MaxFrame: math.MaxInt32, // what the store took is part of the history
	}
	core := fanout.NewCore(cfg)
	for _, r := range records {
		if err := e.insert(ctx, core, r); err != nil {
			return nil, errors.Join(fmt.Errorf("sse: read history %q: %w", e.name, err), core.Stop(ctx))
		}
	}
	return core, nil
}

// insert puts a record of the store into the log.
func (e *keyed) insert(ctx context.Context, core *fanout.Core, r Record) error {
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
	previous, id, err := e.keys.store.Append(ctx, e.name, Record{Event: ev})
	if err != nil {
		return fmt.Errorf("sse: append to history %q: %w", e.name, err)
	}
	head := string(fanout.AppendID(nil, e.core.Epoch(), e.core.Head()))
	// The log may take long to deliver, but what is stored belongs into it whatever becomes of this client.
	ctx = context.WithoutCancel(ctx)
	if previous == head {
		err = e.insert(ctx, e.core, Record{ID: id, Event: ev})
	} else {
		err = e.catchUp(ctx, head)
	}
	if err != nil {
		e.replaced(err)
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
		if err := e.insert(ctx, e.core, r); err != nil {
			return err
		}
	}
	return nil
}

// replaced ends the streams of a history that can't be followed any more; those who return find the store's.
func (e *keyed) replaced(err error) {
	e.core.Refuse() // nobody joins behind the last look at its members
	e.keys.logger.Warn("history lost its place in the store", slog.String("key", e.name), slog.Any("error", err))
	e.keys.mu.Lock()
	if e.keys.open[e.name] == e {
		delete(e.keys.open, e.name)
	}
	e.keys.mu.Unlock()
	for _, m := range e.core.Members() {
		clientOf(m).say(err, false)
	}
}
