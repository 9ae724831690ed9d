package sse

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"sync"

	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/ratelog"
)

// Broker publishes events to all who follow their topics. It never waits for a subscriber. All methods may be called
// by any number of goroutines.
type Broker struct {
	core      *fanout.Core
	mirror    *mirror // of the store; nil without one
	cfg       BrokerConfig
	evictions *ratelog.Limiter

	mu      sync.Mutex // guards what follows
	closed  bool
	readers map[*fanout.Member]struct{} // running [Broker.Events]
}

// NewBroker returns a broker that runs one goroutine until [Broker.Close], and one more with a ReplayStore, which it opens
// within StoreTimeout. A negative setting is an error. With a store errors are [ErrStore] and, also with StoreOptional,
// [ErrStreamInUse].
func NewBroker(cfg BrokerConfig) (*Broker, error) {
	for name, v := range map[string]int64{
		"SubscriberBuffer": int64(cfg.SubscriberBuffer), "MaxLagBytes": int64(cfg.MaxLagBytes),
		"History": int64(cfg.History), "HistoryAge": int64(cfg.HistoryAge), "HistoryBytes": int64(cfg.HistoryBytes),
		"MaxTopics": int64(cfg.MaxTopics), "MaxEventBytes": int64(cfg.MaxEventBytes),
		"MaxCallbacks": int64(cfg.MaxCallbacks), "SnapshotTimeout": int64(cfg.SnapshotTimeout),
		"StoreTimeout": int64(cfg.StoreTimeout),
	} {
		if v < 0 {
			return nil, fmt.Errorf("sse: BrokerConfig.%s is negative", name)
		}
	}
	b := &Broker{cfg: cfg, evictions: ratelog.New(logEvery), readers: make(map[*fanout.Member]struct{})}
	b.cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	b.cfg.MaxEventBytes = cmp.Or(cfg.MaxEventBytes, fanout.DefaultMaxFrame)
	fc := fanout.Config{
		Framing: framing{}, SubscriberBuffer: cfg.SubscriberBuffer, MaxLagBytes: cfg.MaxLagBytes,
		History: cfg.History, HistoryAge: cfg.HistoryAge, HistoryBytes: cfg.HistoryBytes,
		MaxTopics: cfg.MaxTopics, MaxFrame: cfg.MaxEventBytes, MaxCallbacks: cfg.MaxCallbacks,
		SnapshotTimeout: cfg.SnapshotTimeout, Logger: b.cfg.Logger,
	}
	if cfg.OnSlowSubscriber != nil {
		fc.OnSlow, fc.Evicted = b.slow, b.evicted
	}
	if cfg.Snapshot != nil {
		fc.Snapshot = b.snapshot
	}
	if cfg.ReplayStore == nil {
		b.core = fanout.NewCore(fc)
		return b, nil
	}
	var err error
	if b.mirror, err = b.openStore(fc); err != nil {
		return nil, err
	}
	b.core = b.mirror.core
	return b, nil
}

// Publish formats e once and makes it visible to every current and future reader of topics whose history still
// covers it; without a topic it goes to the topic "". It returns the event with the id it got.
//
// It never waits for a reader. When the delivery of earlier events is half the history behind, it yields to it, for
// 100 ms at most. Errors: [EncodeError], [ErrIDReserved], [ErrEventTooLarge], [ErrTooManyTopics], [ErrClosed], or the
// cause of an ended ctx; then nothing was published.
//
// With a ReplayStore it waits for the store, and for what others stored before. Further errors are then [ErrStore] and
// [ErrStoreBehind], after which nothing was published either, and [ErrOutcomeUnknown]: the event appears, once and in its
// place, if it was stored. With StoreOptional an event of which only those learn that are there has no id.
func (b *Broker) Publish(ctx context.Context, e Event, topics ...string) (*PreparedEvent, error) {
	if len(e.Data) > b.cfg.MaxEventBytes {
		return nil, ErrEventTooLarge
	}
	p, err := Prepare(e)
	if err != nil {
		return nil, err
	}
	if err := b.publish(ctx, p, &e, topics); err != nil {
		return nil, err
	}
	return p, nil
}

// PublishPrepared publishes p again, or for the first time; see [Broker.Publish].
func (b *Broker) PublishPrepared(ctx context.Context, p *PreparedEvent, topics ...string) (*PreparedEvent, error) {
	q := &PreparedEvent{wire: p.wire, key: p.key}
	if err := b.publish(ctx, q, nil, topics); err != nil {
		return nil, err
	}
	return q, nil
}

var defaultTopic = []string{""}

// publish publishes p; e is what it was made of, nil if that is not known.
func (b *Broker) publish(ctx context.Context, p *PreparedEvent, e *Event, topics []string) error {
	if len(topics) == 0 {
		topics = defaultTopic
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if b.mirror != nil {
		return b.store(ctx, p, e, topics)
	}
	pos, err := b.core.PublishKeyed(ctx, p.key, p.wire, topics...)
	if err != nil {
		return publicError(err)
	}
	p.epoch, p.pos = b.core.Epoch(), pos
	return nil
}

// Subscribe lets c follow more topics, until unsubscribe is called or its stream ends. Topics that are subscribed
// before the stream's first byte, in OnConnect, or first of all in a Handler, resume from the client's
// Last-Event-ID; later ones begin with the next event. A topic that the client follows already is followed once, and
// the first unsubscribe that names it ends that. What was published before unsubscribe returns is still
// delivered. Errors: [ErrOtherBroker], [ErrTooManyTopics], [ErrClientClosed], [ErrClosed].
func (b *Broker) Subscribe(c *Client, topics ...string) (unsubscribe func(), err error) {
	if len(topics) == 0 {
		topics = defaultTopic
	}
	if err := c.follow(b, topics); err != nil {
		return nil, publicError(err)
	}
	return func() { b.core.Leave(c.member, topics...) }, nil
}

// SubscriberCount returns how many clients follow topic.
func (b *Broker) SubscriberCount(topic string) int { return b.core.Followers(topic) }

// Clients yields the clients that follow topic when the loop begins. They may be gone when they are yielded.
func (b *Broker) Clients(topic string) iter.Seq[*Client] {
	return func(yield func(*Client) bool) {
		for _, m := range b.core.Members() {
			if m.Follows(topic) && !yield(clientOf(m)) {
				return
			}
		}
	}
}
