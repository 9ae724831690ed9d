package sse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/goceleris/celeris/internal/fanout"
)

// Defaults of a [BrokerConfig] with a ReplayStore.
const (
	DefaultStream       = "events"
	DefaultStoreTimeout = 5 * time.Second
)

// liveDepth is how many events without an id may wait for a reader of [Broker.Events].
const liveDepth = 256

var errStoreTimeout = fmt.Errorf("sse: store did not answer in time: %w", context.DeadlineExceeded)

// openStore opens the broker's stream, and a log for it.
func (b *Broker) openStore(fc fanout.Config) (*mirror, error) {
	if _, ok := b.cfg.ReplayStore.(*RingBuffer); ok {
		return nil, errors.New("sse: BrokerConfig.ReplayStore is a RingBuffer: a broker has its own history in memory")
	}
	cfg := mirrorConfig{
		store: b.cfg.ReplayStore, stream: cmp.Or(b.cfg.Stream, DefaultStream),
		timeout: cmp.Or(b.cfg.StoreTimeout, DefaultStoreTimeout), optional: b.cfg.StoreOptional, logger: b.cfg.Logger,
		backlog: cmp.Or(b.cfg.HistoryBytes, fanout.DefaultHistoryBytes) / 2,
	}
	epoch, head, err := openStream(context.Background(), cfg)
	if err != nil && (!cfg.optional || errors.Is(err, ErrStreamInUse)) {
		return nil, fmt.Errorf("%w: open stream %q: %w", ErrStore, cfg.stream, err)
	}
	return newMirror(cfg, fc, epoch, head), nil
}

// store publishes through the store.
func (b *Broker) store(ctx context.Context, p *PreparedEvent, e *Event, topics []string) error {
	switch {
	case len(p.wire) > b.cfg.MaxEventBytes:
		return ErrEventTooLarge
	case len(topics) > fanout.MaxTopicsPerMember:
		return ErrTooManyTopics
	case b.core.Closed():
		return ErrClosed
	}
	if e == nil {
		e = new(p.Event())
		e.ID = ""
	}
	if len(topics) > 1 {
		topics = slices.Compact(slices.Sorted(slices.Values(topics)))
	}
	epoch, pos, err := b.mirror.publish(ctx, *e, newEntry(p.key, p.wire, topics))
	p.epoch, p.pos = epoch, pos
	return err
}

// closeStore has the store write what it has not written yet, and ends the log.
func (b *Broker) closeStore(ctx context.Context) error {
	var err error
	if f := b.mirror.flusher; f != nil {
		if err = f.Flush(ctx); err != nil {
			err = fmt.Errorf("%w: flush: %w", ErrStore, err)
		}
	}
	if stuck := b.mirror.stop(ctx); stuck != nil {
		err = errors.Join(err, ErrStuckCallbacks, stuck)
	}
	return err
}
