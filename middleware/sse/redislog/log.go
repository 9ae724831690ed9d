package redislog

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/goceleris/celeris/middleware/sse"
)

// Log is a set of streams in Redis. All methods may be called concurrently, and by any number of processes.
type Log struct {
	cfg    Config
	verify time.Duration // verifyEvery, but in tests

	closing chan struct{}  // closed by Close
	running sync.WaitGroup // batches, tails, and calls whose context ended before Redis answered

	mu       sync.Mutex // guards all below, and what is in them
	closed   bool
	batchers map[string]*batcher // by stream: those with appends
	tails    map[string]*tail    // by the log's key, or by "" where one connection serves all
}

var (
	_ sse.ReplayStore = (*Log)(nil)
	_ sse.Follower    = (*Log)(nil)
	_ sse.Rotator     = (*Log)(nil)
)

// New returns a Log. It doesn't speak to Redis.
func New(cfg Config) (*Log, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	return &Log{
		cfg:      cfg,
		verify:   verifyEvery,
		closing:  make(chan struct{}),
		batchers: make(map[string]*batcher),
		tails:    make(map[string]*tail),
	}, nil
}

// Close ends all calls of Follow, refuses further calls with [sse.ErrStoreClosed], and returns when nothing of the Log runs
// any more: appends under way are finished first, for which the client's ReadTimeout is the limit. When ctx ends before,
// it returns ctx's error, and they end by themselves. It may be called more than once and leaves the client open.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.closing)
	}
	l.mu.Unlock()
	done := make(chan struct{})
	go func() {
		l.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("redislog: close: %w", context.Cause(ctx))
	}
}

// begin counts something that runs, which ends with running.Done. It reports false when the Log is closed.
func (l *Log) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.running.Add(1)
	return true
}

// do calls f, which speaks to Redis, and returns when it has returned or ctx ends. The client doesn't notice the end of
// a context while it waits for an answer, so then f is left behind; it must not touch what the caller uses.
func (l *Log) do(ctx context.Context, f func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !l.begin() {
		return sse.ErrStoreClosed
	}
	if ctx.Done() == nil {
		defer l.running.Done()
		return f()
	}
	done := make(chan error, 1)
	go func() {
		defer l.running.Done()
		done <- f()
	}()
	select {
	case err := <-done:
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Open implements [sse.ReplayStore].
func (l *Log) Open(ctx context.Context, stream string) (epoch string, head uint64, err error) {
	k, err := l.keys(stream)
	if err != nil {
		return "", 0, err
	}
	var reply []string
	err = l.do(ctx, func() (err error) {
		reply, err = l.run(ctx, openScript, k, l.ttl(), newEpoch())
		return err
	})
	if err == nil {
		epoch, head, err = parseState(reply)
	}
	if err != nil {
		return "", 0, fmt.Errorf("redislog: open stream %q: %w", stream, err)
	}
	return epoch, head, nil
}

// Rotate implements [sse.Rotator].
func (l *Log) Rotate(ctx context.Context, stream, oldEpoch string) (epoch string, err error) {
	k, err := l.keys(stream)
	if err != nil {
		return "", err
	}
	var reply []string
	err = l.do(ctx, func() (err error) {
		reply, err = l.run(ctx, rotateScript, k, l.ttl(), newEpoch(), oldEpoch)
		return err
	})
	if err == nil {
		epoch, _, err = parseState(reply)
	}
	if err != nil {
		return "", fmt.Errorf("redislog: rotate stream %q: %w", stream, err)
	}
	return epoch, nil
}

// keys are the names of a stream's keys.
type keys struct{ state, log string }

// escapes keeps braces out of the part of a key that decides its slot.
var escapes = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D")

func (l *Log) keys(stream string) (keys, error) {
	if stream == "" || !utf8.ValidString(stream) {
		return keys{}, fmt.Errorf("redislog: stream %q: a name is any UTF-8 text but the empty one", stream)
	}
	base := l.cfg.Prefix + "{" + escapes.Replace(stream) + "}"
	return keys{state: base + ":state", log: base + ":log"}, nil
}

// ttl is the time to live of keys, in milliseconds.
func (l *Log) ttl() int64 { return l.cfg.TTL.Milliseconds() }

// newEpoch returns 65 random bits: enough that no two streams share an epoch, short enough for every event to carry it.
func newEpoch() string { return rand.Text()[:13] }
