package sse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris/internal/fanout"
)

const (
	// gapWait is how long an append that was answered too early waits for the ones before it before they are read.
	gapWait = 20 * time.Millisecond
	// maxUnstored bounds the events that a store has taken and not stored yet, half of HistoryBytes their bytes.
	maxUnstored = 4096
)

// errReplaced means that the store's stream is no longer the one that an append went to.
var errReplaced = errors.New("sse: stream was replaced in its store")

// mirror keeps the log of a core equal to one stream of a store. The order is that of the store, whoever appends to it
// and in whatever order the answers come.
type mirror struct {
	cfg      mirrorConfig
	core     *fanout.Core
	follower Follower // nil if the store can't be followed
	flusher  Flusher  // nil if it stores before it answers

	ctx     context.Context // of the goroutines below
	cancel  context.CancelFunc
	working sync.WaitGroup
	stats   mirrorStats

	meeting  chan struct{} // has a token while met and metEpoch are used
	met      time.Time     // when the store was last asked for a client
	metEpoch string        // what it said

	// mu guards what follows. It comes before Core.mu; no call of the store is made under it.
	mu        sync.Mutex
	ended     bool
	epoch     string          // of the log; "" if the store was never reached
	head      fanout.Position // of the log
	recent    recent
	early     map[fanout.Position]*answer // by the position before theirs
	inflight  int                         // appends without an answer
	waiting   bool                        // a timer runs for the gap behind head
	filling   bool                        // a goroutine reads what lies behind head
	again     bool                        // it must read once more
	unknown   int                         // appends of which nobody knows whether they were stored
	unstored  []unstored
	bytes     int                // of unstored
	down      bool               // live events go out without ids
	missed    bool               // some did since the last hole
	lost      bool               // the store has given a position twice
	fell      bool               // the store could not go on from the head
	mark      place              // where the log was when something first failed, since the last look
	doubtful  []*answer          // whose positions the log had passed; the keeper finds out why
	interrupt context.CancelFunc // makes the keeper look at the store anew
}

type mirrorConfig struct {
	store    ReplayStore
	stream   string
	timeout  time.Duration // of one call
	backlog  int           // bytes that may be unstored
	optional bool
	logger   *slog.Logger
}

type mirrorStats struct {
	appends, failures, live, rotations atomic.Int64
}

// newMirror makes a mirror, and the core whose log it keeps, of what fc says. The stream is open, unless epoch is "".
func newMirror(cfg mirrorConfig, fc fanout.Config, epoch string, head uint64) *mirror {
	m := &mirror{cfg: cfg, epoch: epoch, head: fanout.Position(head), early: make(map[fanout.Position]*answer)}
	m.follower, _ = cfg.store.(Follower)
	m.flusher, _ = cfg.store.(Flusher)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.interrupt, m.meeting = func() {}, make(chan struct{}, 1)
	m.down = epoch == ""
	fc.Epoch, fc.Floor, fc.Source = epoch, m.head, source{m}
	m.core = fanout.NewCore(fc)
	if m.flusher != nil && epoch != "" {
		m.core.Keep(m.head)
	}
	m.working.Go(m.keep)
	if m.flusher != nil {
		m.working.Go(m.poll)
	}
	return m
}

// openStream opens a stream of a store, in bounded time.
func openStream(ctx context.Context, cfg mirrorConfig) (epoch string, head uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.timeout)
	defer cancel()
	epoch, head, err = cfg.store.Open(ctx, cfg.stream)
	if err == nil && !validEpoch(epoch) {
		err = fmt.Errorf("epoch %q is none", epoch)
	}
	return epoch, head, err
}

// stop ends the goroutines and then the core, and waits for both until ctx ends.
func (m *mirror) stop(ctx context.Context) error {
	m.mu.Lock()
	m.ended = true
	for p, a := range m.early {
		delete(m.early, p)
		a.resolve(nil) // it is stored
	}
	m.believe(nil)
	m.mu.Unlock()
	m.cancel()
	err := m.core.Stop(ctx)
	done := make(chan struct{})
	go func() {
		m.working.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		err = errors.Join(err, fmt.Errorf("sse: store does not answer: %w", context.Cause(ctx)))
	}
	return err
}
