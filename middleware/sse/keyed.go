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

// keyed is one history: the log of its clients mirrors that of the store.
type keyed struct {
	keys   *keys
	name   string
	refs   int
	ready  chan struct{} // closed when mirror or err is set
	mirror *mirror
	err    error
}

func newKeys(store ReplayStore, logger *slog.Logger) *keys {
	return &keys{store: store, logger: logger, open: make(map[string]*keyed)}
}

// checkKey refuses what is no name of a history.
func checkKey(name string) error {
	if name == "" || !utf8.ValidString(name) {
		return fmt.Errorf("sse: %q is no ReplayKey: a history's name is any UTF-8 text but the empty one", name)
	}
	return nil
}

// acquire returns the history of that name. The caller releases it.
func (k *keys) acquire(ctx context.Context, name string) (*keyed, error) {
	if err := checkKey(name); err != nil {
		return nil, err
	}
	k.mu.Lock()
	e := k.open[name]
	first := e == nil
	if first {
		e = &keyed{keys: k, name: name, ready: make(chan struct{})}
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

// begin opens the history for all who wait for it. A store that panics must not keep them waiting.
func (e *keyed) begin(ctx context.Context) {
	opened := false
	defer func() {
		if e.err != nil {
			e.forget() // who comes next tries again
		}
		close(e.ready)
		if !opened {
			e.release()
		}
	}()
	e.err = fmt.Errorf("sse: open history %q: the store panicked", e.name) // for them
	e.mirror, e.err = e.load(ctx)
	opened = true
}

// load opens the history. Others wait for it too: it goes on when the first client leaves.
func (e *keyed) load(ctx context.Context) (*mirror, error) {
	cfg := mirrorConfig{
		store: e.keys.store, stream: e.name, timeout: DefaultStoreTimeout, logger: e.keys.logger,
		backlog: fanout.DefaultHistoryBytes / 2,
	}
	epoch, head, err := openStream(context.WithoutCancel(ctx), cfg)
	if err != nil {
		return nil, fmt.Errorf("sse: open history %q: %w", e.name, err)
	}
	fc := fanout.Config{Framing: framing{}, Logger: e.keys.logger, MaxTopics: 1}
	return newMirror(cfg, fc, epoch, head), nil
}

// append adds an event to the history.
func (e *keyed) append(ctx context.Context, ev Event, frame []byte) error {
	_, _, err := e.mirror.publish(ctx, ev, newEntry(ev.Key, frame, nil))
	return err
}

// forget takes the history from those that clients are given.
func (e *keyed) forget() {
	e.keys.mu.Lock()
	defer e.keys.mu.Unlock()
	if e.keys.open[e.name] == e {
		delete(e.keys.open, e.name)
	}
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
		if e.mirror != nil {
			_ = e.mirror.stop(context.Background()) // it runs no callbacks that could hold it up
		}
	}
}
