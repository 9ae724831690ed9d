package sse

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris/middleware/store"
)

// ErrStoreClosed means that a [ReplayStore] is closed.
var ErrStoreClosed = errors.New("sse: replay store is closed")

const (
	defaultKVPrefix     = "sse:"
	defaultKVCounter    = "counter"
	defaultKVTTL        = 24 * time.Hour
	defaultKVEvents     = 1024
	defaultKVAsync      = 16
	defaultKVBacklog    = 1024
	defaultKVInterval   = 100 * time.Millisecond
	defaultKVTimeout    = 2 * time.Second
	defaultKVLease      = 10 * time.Second
	maxKVName           = 64 // of Prefix and CounterKey
	maxKVStreams        = 4096
	maxKVGroup          = 128 // records that share the counter's round trip
	maxKVWrites         = 64  // at a time, without AsyncAppend
	minKVMeta           = 365 * 24 * time.Hour
	kvMetaTTLs          = 10  // lifetimes of a record that a counter lives at least
	kvInFlight          = 256 // positions from the head within which a missing record may still be on its way
	kvMarkEvery         = 64  // positions
	kvRefreshAfter      = time.Hour
	kvAsyncPatience     = time.Minute
	maxKVPendingReports = 256
)

// KVReplayStoreConfig configures a [KVReplayStore]. KV is required, the zero value of the rest works.
type KVReplayStoreConfig struct {
	// KV keeps everything. What it can do decides what the store can do, see [NewKVReplayStore].
	KV store.KV

	// Prefix begins every key, at most 64 bytes. Empty means "sse:".
	Prefix string

	// CounterKey ends the keys of the counters that positions come from: at most 64 ASCII letters, digits, '-' and '_',
	// the first no digit. Empty means "counter".
	CounterKey string

	// TTL is how long a record is kept. Zero means 24 hours. What decides about IDs (epoch, counter) lives for ten times
	// as long, but at least a year, from its last use.
	TTL time.Duration

	// MaxEvents is how many records of a stream are kept. Zero means 1024.
	MaxEvents int

	// AsyncAppend makes Append answer before the record is stored. The stream then belongs to one process at a time.
	AsyncAppend bool

	// AsyncAppendConcurrency is how many records are stored at a time with AsyncAppend. Zero means 16.
	AsyncAppendConcurrency int

	// AsyncAppendBacklog is how many records, of all streams, may wait to be stored; one more is [ErrStoreBehind]. Zero
	// means 1024.
	AsyncAppendBacklog int

	// FollowInterval is how often Follow looks for records of other processes. Zero means 100 ms.
	FollowInterval time.Duration

	// Timeout bounds one append's work in the KV. A reader that meets a position without a record waits twice as long
	// before it counts the record as lost, so all processes need about the same. Zero means 2 seconds.
	Timeout time.Duration

	// LeaseTTL is how long a process that died keeps its streams from others, where a stream belongs to one process. It
	// is at least four times Timeout. Zero means 10 seconds, or four times Timeout if that is more.
	LeaseTTL time.Duration

	// OnError, if not nil, is told of each record of AsyncAppend that could not be stored and became a hole. Calls come
	// one after the other, from a goroutine of their own; while one runs, up to 256 wait and further ones are left out.
	// A panic is ignored.
	OnError func(stream, id string, err error)
}

// KVReplayStore is a [ReplayStore] on a key-value store. [NewKVReplayStore] makes it and tells what else it is.
type KVReplayStore interface {
	ReplayStore
	Rotator

	// Close stores what was appended, gives up leases and ends the store's goroutines. When ctx ends it cuts short
	// what isn't done and returns ctx's error. From then on methods return [ErrStoreClosed], also those that
	// are waiting. It may be called more than once and leaves the KV open.
	Close(ctx context.Context) error
}

// NewKVReplayStore returns a store that keeps each record under a key of its own, named by its position. It keeps no
// index, so that any process reads all there is.
//
// On a KV that is a [store.Counter] and a [store.SetNXer], processes share streams, and the store is a [Follower], by
// polling. On any other, and with AsyncAppend, a stream belongs to one process at a time by a lease in the KV; another
// one gets [ErrStreamInUse], and so does Append once the lease is lost. Without SetNXer taking the lease is decided by
// timing: it takes half of Timeout, and a KV that applies a write later than that may let in two. With AsyncAppend the store
// is a [Flusher]. A [store.MultiGetter] is read in batches, any other KV by eight requests at a time.
//
// Concurrent appends to a stream share the round trip to the counter. A position whose record doesn't come within twice
// Timeout becomes a hole, and its writer, if it still lives, stores the record under a later one. Records that are
// evicted or damaged become holes, too. A counter that is lost or has gone back begins a new epoch.
//
// Close ends the store.
func NewKVReplayStore(config KVReplayStoreConfig) (KVReplayStore, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	s := &kvReplay{
		config:  config,
		metaTTL: max(minKVMeta, kvMetaTTLs*config.TTL),
		kv:      newKVOps(config.KV),
		token:   []byte(rand.Text()),
		slots:   make(chan struct{}, maxKVWrites),
		streams: make(map[string]*kvStream),
		most:    maxKVStreams,
		wrote:   make(chan struct{}),
		ended:   make(chan struct{}),
	}
	s.work, s.stop = context.WithCancelCause(context.Background())
	s.leased = config.AsyncAppend || s.kv.counter == nil || s.kv.nx == nil
	switch {
	case config.AsyncAppend:
		return &kvAsyncReplay{s}, nil
	case s.leased:
		return s, nil
	}
	return &kvSharedReplay{s}, nil
}

// complete puts defaults in place of zeros.
func (c *KVReplayStoreConfig) complete() error {
	if c.KV == nil {
		return errors.New("sse: KVReplayStoreConfig.KV is nil")
	}
	for _, number := range []struct {
		name  string
		value *int
		zero  int
	}{
		{"MaxEvents", &c.MaxEvents, defaultKVEvents},
		{"AsyncAppendConcurrency", &c.AsyncAppendConcurrency, defaultKVAsync},
		{"AsyncAppendBacklog", &c.AsyncAppendBacklog, defaultKVBacklog},
	} {
		if *number.value < 0 {
			return fmt.Errorf("sse: KVReplayStoreConfig.%s is negative: %d", number.name, *number.value)
		}
		if *number.value == 0 {
			*number.value = number.zero
		}
	}
	for _, duration := range []struct {
		name  string
		value *time.Duration
		zero  time.Duration
	}{
		{"TTL", &c.TTL, defaultKVTTL},
		{"FollowInterval", &c.FollowInterval, defaultKVInterval},
		{"Timeout", &c.Timeout, defaultKVTimeout},
		{"LeaseTTL", &c.LeaseTTL, max(defaultKVLease, 4*c.Timeout)},
	} {
		if *duration.value < 0 {
			return fmt.Errorf("sse: KVReplayStoreConfig.%s is negative: %v", duration.name, *duration.value)
		}
		if *duration.value == 0 {
			*duration.value = duration.zero
		}
	}
	if c.LeaseTTL < 4*c.Timeout {
		return fmt.Errorf("sse: KVReplayStoreConfig.LeaseTTL %v is less than four times Timeout %v", c.LeaseTTL, c.Timeout)
	}
	if c.Prefix == "" {
		c.Prefix = defaultKVPrefix
	}
	if c.CounterKey == "" {
		c.CounterKey = defaultKVCounter
	}
	if len(c.Prefix) > maxKVName {
		return fmt.Errorf("sse: KVReplayStoreConfig.Prefix has %d bytes, more than %d", len(c.Prefix), maxKVName)
	}
	if !plainName(c.CounterKey, maxKVName) || c.CounterKey[0] >= '0' && c.CounterKey[0] <= '9' {
		return fmt.Errorf("sse: KVReplayStoreConfig.CounterKey %q is not a letter and up to %d more, digits, '-' and '_'",
			c.CounterKey, maxKVName-1)
	}
	return nil
}

// kvReplay is the store, in the form for one process.
type kvReplay struct {
	config  KVReplayStoreConfig
	metaTTL time.Duration
	kv      kvOps
	leased  bool   // a stream belongs to one process
	token   []byte // tells this store's leases from others
	slots   chan struct{}

	work   context.Context // of everything that is done in the background
	stop   context.CancelCauseFunc
	writes sync.WaitGroup // appends under way
	loops  sync.WaitGroup // renewal and reports
	wrote  chan struct{}  // closed when the store is closed and nothing is under way
	ended  chan struct{}  // closed when the loops have ended, too
	most   int            // streams

	backlog kvBacklog
	waiting atomic.Int64 // records of AsyncAppend that aren't stored

	mu       sync.Mutex // guards all below
	streams  map[string]*kvStream
	recent   list.List // of *kvStream, the most recently used first
	closed   bool
	renewing bool // a goroutine renews leases
}

var (
	_ KVReplayStore = (*kvReplay)(nil)
	_ Follower      = (*kvSharedReplay)(nil)
	_ Flusher       = (*kvAsyncReplay)(nil)
)

// kvSharedReplay is the store on a KV that processes share.
type kvSharedReplay struct{ *kvReplay }

// kvAsyncReplay is the store with AsyncAppend.
type kvAsyncReplay struct{ *kvReplay }

// until returns ctx as it also ends with the store.
func (s *kvReplay) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.work, func() { cancel(context.Cause(s.work)) })
	return ctx, func() { stop(); cancel(nil) }
}

// kvFailed says what a method was doing when it failed; the end of its context explains any failure.
func kvFailed(ctx context.Context, doing, stream string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("sse: %s stream %q: %w", doing, stream, err)
}

// Open implements [ReplayStore].
func (s *kvReplay) Open(ctx context.Context, stream string) (epoch string, head uint64, err error) {
	ctx, cancel := s.until(ctx)
	defer cancel()
	st, err := s.use(ctx, stream)
	if err != nil {
		return "", 0, kvFailed(ctx, "open", stream, err)
	}
	defer s.release(st)
	v, err := s.newest(ctx, st)
	if err != nil {
		return "", 0, kvFailed(ctx, "open", stream, err)
	}
	return v.epoch.id, v.head, nil
}

// Rotate implements [Rotator]. The old epoch's records can't be reached any more and are gone after their TTL.
func (s *kvReplay) Rotate(ctx context.Context, stream, oldEpoch string) (epoch string, err error) {
	ctx, cancel := s.until(ctx)
	defer cancel()
	st, err := s.use(ctx, stream)
	if err != nil {
		return "", kvFailed(ctx, "rotate", stream, err)
	}
	defer s.release(st)
	v, err := s.look(ctx, st, true)
	if err == nil && v.epoch.id == oldEpoch {
		if err = s.replace(ctx, st, v.epoch.id); err == nil {
			v, err = s.look(ctx, st, true)
		}
	}
	if err != nil {
		return "", kvFailed(ctx, "rotate", stream, err)
	}
	return v.epoch.id, nil
}
