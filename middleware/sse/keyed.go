package sse

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"unicode/utf8"

	"github.com/goceleris/celeris/internal/fanout"
)

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

	stop      context.CancelFunc // ends following
	following sync.WaitGroup

	// appending is held from an append to the store until the log has its record, so that both have one order. A
	// store that hangs holds up the senders of this key only, each until its stream ends.
	appending chan struct{}
}

func newKeys(store ReplayStore, logger *slog.Logger) *keys {
	return &keys{store: store, logger: logger, open: make(map[string]*keyed)}
}

// acquire returns the history of that name from which lastID can be served, if its store can. The caller releases it.
func (k *keys) acquire(ctx context.Context, name, lastID string) (*keyed, error) {
	if name == "" || !utf8.ValidString(name) {
		return nil, fmt.Errorf("sse: ReplayKey returned %q: a history's name is any UTF-8 text but the empty one", name)
	}
	e, err := k.use(ctx, name, nil)
	if err != nil || e.core.Servable(lastID, "") || !e.stored(ctx, lastID) {
		return e, err
	}
	// The log has forgotten what the store still has: those who come from here on get a log of their own.
	defer e.release()
	return k.use(ctx, name, e)
}

// use returns the open history of that name, or opens it; one that is old is not used.
func (k *keys) use(ctx context.Context, name string, old *keyed) (*keyed, error) {
	k.mu.Lock()
	e := k.open[name]
	first := e == nil || e == old
	if first {
		e = &keyed{keys: k, name: name, ready: make(chan struct{}), appending: make(chan struct{}, 1), stop: func() {}}
		k.open[name] = e
	}
	e.refs++
	k.mu.Unlock()
	if first {
		e.begin(ctx)
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

// begin loads the history for all who wait for it. A store that panics must not keep them waiting.
func (e *keyed) begin(ctx context.Context) {
	loaded := false
	defer func() {
		close(e.ready)
		if !loaded {
			e.release()
		}
	}()
	e.err = fmt.Errorf("sse: open history %q: the store panicked", e.name) // for them
	e.core, e.err = e.load(ctx)
	loaded = true
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
		e.stop()
		e.following.Wait()
		if e.core != nil {
			_ = e.core.Stop(context.Background()) // it runs no callbacks that could hold it up
		}
	}
}
