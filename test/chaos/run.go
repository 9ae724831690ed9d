package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// config is one run.
type config struct {
	seed                      uint64
	events, clients           int
	nodes, publishers, faults int
	maxLen                    int    // events that the store keeps at least
	mean                      int    // bytes between the cuts of a client
	sleepers                  int    // clients that are away once for longer than the store keeps what they miss
	mutant                    string // "" for none
	log                       io.Writer
}

// redisServer is the Redis of a run.
type redisServer interface {
	Kill()
	Start()
	Pause()
	Resume()
}

// result is what came of a run.
type result struct {
	*verdict
	cuts, restarts  int
	refused, opened int // publishes that were refused or left open
	mutations       int64
	failure         error // what is wrong beside the verdict
}

// String is the line that a run ends with.
func (r *result) String() string {
	return fmt.Sprintf("CHAOS events=%d clients=%d restarts=%d unmarked_gaps=%d duplicates=%d resyncs=%d needless_resyncs=%d",
		r.events, r.clients, r.restarts, r.unmarkedGaps, r.duplicates, r.resyncs, r.needless)
}

// err returns what is wrong.
func (r *result) err() error { return errors.Join(r.verdict.err(), r.failure) }

// run runs. Redis is nil if addr is inMemory; its methods are called by the caller's goroutine.
func run(ctx context.Context, cfg config, addr string, redis redisServer, ledger *ledger, truth truth) (_ *result, err error) {
	ctx, cancel := context.WithCancel(ctx)
	fleet, err := startFleet(nodeOf(addr, cfg.maxLen), cfg.nodes)
	if err != nil {
		cancel()
		return nil, err
	}
	var working sync.WaitGroup
	defer func() {
		cancel()
		working.Wait()
		err = errors.Join(err, fleet.stop())
	}()

	s := &site{config: cfg, fleet: fleet, redis: redis, ledger: ledger}
	working.Go(func() { truth.watch(ctx) })
	var m *mutant
	if cfg.mutant != "" {
		m = &mutant{kind: cfg.mutant, ledger: ledger}
	}
	for i := range cfg.clients {
		c, err := newClient(ctx, s, i, m)
		if err != nil {
			return nil, err
		}
		s.clients = append(s.clients, c)
		working.Go(func() { c.run(ctx) })
	}
	// Whoever has no position yet would begin behind what is published.
	if err := s.await(ctx, "every client to have a position", func(c *client) bool { return c.source.LastEventID() != "" }); err != nil {
		return nil, err
	}
	for i := range cfg.publishers {
		p := newPublisher(fleet, s.ledger, i, cfg.seed)
		working.Go(func() { p.run(ctx) })
	}
	if err := s.breakIt(ctx); err != nil {
		return nil, err
	}
	records, err := truth.records(ctx)
	if err != nil {
		return nil, err
	}
	var last [allTopics + 1]uint64
	for _, r := range records {
		for t := range last {
			if set(t)&r.topics != 0 {
				last[t] = r.position
			}
		}
	}
	lost := s.await(ctx, "every client to be at the end", func(c *client) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.reached >= last[c.history.topics]
	})
	cancel()
	working.Wait()

	e := evidence{records: records, acked: s.ledger.acknowledged(), retained: cfg.maxLen}
	failure := errors.Join(lost, s.ledger.err())
	for i, c := range s.clients {
		e.histories = append(e.histories, c.history)
		if c.wrong != nil {
			failure = errors.Join(failure, fmt.Errorf("client %d: %w", i, c.wrong))
		}
	}
	r := &result{
		verdict: judge(e), cuts: int(s.cuts.Load()), restarts: s.restarts,
		refused: s.ledger.refused, opened: len(s.ledger.unknown), failure: failure,
	}
	if m != nil {
		r.mutations = m.used.Load()
	}
	return r, nil
}

// site is a run under way.
type site struct {
	config
	fleet    *fleet
	redis    redisServer
	ledger   *ledger
	clients  []*client
	cuts     atomic.Int64
	restarts int
}

// await waits until something holds for all clients.
func (s *site) await(ctx context.Context, what string, holds func(*client) bool) error {
	deadline := time.After(patience)
	for _, c := range s.clients {
		for !holds(c) {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-deadline:
				return fmt.Errorf("waited %v for %s", patience, what)
			}
		}
	}
	return nil
}

// published waits until so many events are acknowledged.
func (s *site) published(ctx context.Context, n int) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		count, more := s.ledger.count()
		if count >= n {
			return nil
		}
		select {
		case <-more:
			deadline.Reset(patience)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return fmt.Errorf("nothing was acknowledged for %v, after %d events", patience, count)
		}
	}
}

// breakIt goes through the faults and waits until all is published.
func (s *site) breakIt(ctx context.Context) error {
	begun := time.Now()
	for _, f := range planFaults(s.seed, s.events, s.faults, s.nodes) {
		if err := s.published(ctx, f.after); err != nil {
			return err
		}
		fmt.Fprintf(s.log, "%6.1f s: %v\n", time.Since(begun).Seconds(), f)
		if err := s.fault(f); err != nil {
			return err
		}
	}
	err := s.published(ctx, s.events)
	fmt.Fprintf(s.log, "%6.1f s: all is published\n", time.Since(begun).Seconds())
	return err
}

func (s *site) fault(f fault) error {
	switch f.kind {
	case killRedis:
		s.redis.Kill()
		time.Sleep(f.down)
		s.redis.Start()
		s.restarts++
		return nil
	case pauseRedis:
		s.redis.Pause()
		time.Sleep(f.down)
		s.redis.Resume()
		return nil
	}
	nodes := []int{f.node}
	if f.kind == killNodes {
		nodes = append(nodes, (f.node+1)%s.nodes)
	}
	for _, i := range nodes {
		if err := s.fleet.kill(i); err != nil {
			return err
		}
	}
	time.Sleep(f.down)
	for _, i := range nodes {
		if err := s.fleet.start(i); err != nil {
			return err
		}
		s.restarts++
	}
	return nil
}
