package sse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	keeperRetry    = 50 * time.Millisecond
	keeperRetryMax = 5 * time.Second
	// lateAppends is for how long an append whose outcome is unknown may still arrive at a store that can't be followed.
	lateAppends = 30 * time.Second
	// storedPoll is how often a store that stores later is asked how far it is, while nobody publishes.
	storedPoll = time.Second
)

// keep follows the store, or waits until something is wrong with it, and comes back to it when it was away.
func (m *mirror) keep() {
	first, wait := true, keeperRetry
	for m.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(m.ctx)
		m.mu.Lock()
		m.interrupt = cancel
		m.mu.Unlock()
		began := time.Now()
		err := m.session(ctx, first)
		m.mu.Lock()
		m.trouble()
		m.mu.Unlock()
		interrupted := ctx.Err() != nil
		cancel()
		if m.ctx.Err() != nil {
			return
		}
		first = false
		if interrupted || time.Since(began) > keeperRetryMax {
			wait = keeperRetry
		}
		if !interrupted && err != nil && !errors.Is(err, ErrLastIDUnknown) {
			m.stats.failures.Add(1)
			m.cfg.logger.LogAttrs(m.ctx, slog.LevelWarn, "store failed", slog.String("stream", m.cfg.stream), slog.Any("error", err))
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2)):
		case <-m.ctx.Done():
		}
		wait = min(2*wait, keeperRetryMax)
	}
}

// session compares the log with the store and then follows it, until something fails or ctx ends. The very first one finds
// the stream just opened.
func (m *mirror) session(ctx context.Context, first bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			m.core.CountPanic()
			err = fmt.Errorf("sse: the store panicked: %v", p)
		}
	}()
	if m.at().epoch == "" || !first {
		if err := m.compare(ctx); err != nil {
			return err
		}
		if err := m.recover(ctx); err != nil {
			return err
		}
	}
	if err := m.learn(ctx); err != nil {
		return err
	}
	if m.follower == nil {
		<-ctx.Done()
		return nil
	}
	at := m.at()
	after := at.head
	for r, err := range m.follower.Follow(ctx, m.cfg.stream, FormatID(at.epoch, uint64(at.head))) {
		if err == nil {
			after, err = m.read(after, r)
		}
		if err != nil {
			m.falls(err)
			return err
		}
	}
	return errors.New("sse: following the store ended")
}

// falls notes that the store can't go on from the log's head.
func (m *mirror) falls(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fell = m.fell || errors.Is(err, ErrLastIDUnknown)
}

// poll asks a store that stores later how far it is.
func (m *mirror) poll() {
	tick := time.NewTicker(storedPoll)
	defer tick.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-tick.C:
			m.acknowledge()
		}
	}
}

// recover tells the stream of what went out without it, and ends that.
func (m *mirror) recover(ctx context.Context) error {
	for {
		m.mu.Lock()
		if !m.missed {
			m.down = false
			m.mu.Unlock()
			return nil
		}
		m.missed = false
		m.inflight++
		m.mu.Unlock()
		previous, id, err := m.append(ctx, Record{Hole: true})
		if err == nil {
			if _, _, err = m.settle(previous, id, logEntry{hole: true}); err == nil {
				continue
			}
		} else {
			m.mu.Lock()
			if m.inflight--; errors.Is(err, ErrOutcomeUnknown) {
				m.unknown++
				m.fill()
			}
			m.mu.Unlock()
		}
		m.mu.Lock()
		m.missed = true
		m.mu.Unlock()
		return err
	}
}
