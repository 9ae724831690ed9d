package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/sse/redislog"
)

// truth finds out what the stream is.
type truth interface {
	// watch runs while events are published.
	watch(ctx context.Context)
	// records returns the stream when all is published.
	records(ctx context.Context) ([]record, error)
}

// acknowledged takes what was acknowledged for the truth, where no outcome is ever open.
type acknowledged struct{ *ledger }

func (acknowledged) watch(context.Context) {}

func (a acknowledged) records(context.Context) ([]record, error) { return a.ledger.stream(), nil }

// follower reads the stream of Redis along, since it is trimmed.
type follower struct {
	client *redis.Client
	log    *redislog.Log

	mu   sync.Mutex // guards what follows
	last string
	all  []record
	err  error
}

func newFollower(addr string, maxLen int) (*follower, error) {
	client := newRedis(addr)
	log, err := redislog.New(redislog.Config{Client: client, Prefix: prefix, MaxLen: maxLen})
	return &follower{client: client, log: log}, err
}

func (f *follower) watch(ctx context.Context) {
	for ctx.Err() == nil {
		for r, err := range f.log.Follow(ctx, streamName, f.last) {
			if err == nil {
				err = f.take(r)
			}
			if errors.Is(err, sse.ErrLastIDUnknown) || errors.Is(err, errRecord) {
				f.mu.Lock()
				f.err = err
				f.mu.Unlock()
				return
			}
		}
		select {
		case <-time.After(20 * time.Millisecond): // Redis is down
		case <-ctx.Done():
		}
	}
}

func (f *follower) take(r sse.Record) error {
	one, err := parseRecord(r)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all, f.last = append(f.all, one), r.ID
	return nil
}

// records compares what was read along with what is there in the end.
func (f *follower) records(ctx context.Context) ([]record, error) {
	var kept []record
	for r, err := range f.log.Since(ctx, streamName, "") {
		if err != nil {
			return nil, err
		}
		one, err := parseRecord(r)
		if err != nil {
			return nil, err
		}
		kept = append(kept, one)
	}
	deadline := time.After(patience)
	for {
		f.mu.Lock()
		all, err := slices.Clone(f.all), f.err
		f.mu.Unlock()
		switch {
		case err != nil:
			return nil, fmt.Errorf("read along: %w", err)
		case len(all) >= len(kept) && slices.Equal(all[len(all)-len(kept):], kept):
			return all, nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			return nil, fmt.Errorf("the %d records that are there are not the last of the %d that were read along", len(kept), len(all))
		}
	}
}
