package sse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/goceleris/celeris/internal/fanout"
)

// answer is an append that was answered, on its way into the log.
type answer struct {
	pos     fanout.Position
	entry   logEntry
	doubted bool // guarded by mirror.mu
	err     error
	done    chan struct{} // closed when the log has it, or err is set
}

type unstored struct {
	pos  fanout.Position
	size int
}

// publish appends to the store and returns when the log has the event too, or ctx ends behind the append. With an error
// nothing was published, unless it is ErrOutcomeUnknown.
func (m *mirror) publish(ctx context.Context, e Event, entry logEntry) (epoch string, p fanout.Position, err error) {
	live, err := m.begin(len(entry.frame))
	if err != nil {
		return "", 0, err
	}
	if live {
		m.deliver(entry)
		return "", 0, nil
	}
	previous, id, err := m.append(ctx, Record{Event: e, Topics: entry.topics})
	if err != nil {
		return m.failed(ctx, entry, err)
	}
	a, epoch, err := m.settle(previous, id, entry)
	if err != nil {
		return "", 0, err
	}
	patience := time.NewTimer(m.cfg.timeout)
	defer patience.Stop()
	select {
	case <-a.done:
		err = a.err
	case <-patience.C:
		err = m.doubts(a)
	case <-ctx.Done():
		err = m.doubts(a)
	}
	if err != nil {
		return "", 0, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return epoch, a.pos, nil
}

// begin counts an append that is about to be made; live says that the event goes out without one.
func (m *mirror) begin(size int) (live bool, err error) {
	if m.flusher != nil {
		m.acknowledge()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.ended:
		return false, ErrClosed
	case m.cfg.optional && m.down:
		m.missed = true
		return true, nil
	case m.lost: // what is appended now would go with the epoch
		return false, fmt.Errorf("%w: %w", ErrStore, errReplaced)
	case len(m.unstored) >= maxUnstored || m.bytes > 0 && m.bytes+size > m.cfg.backlog:
		return false, ErrStoreBehind
	}
	m.inflight++
	return false, nil
}

func (m *mirror) append(ctx context.Context, r Record) (previous, id string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, m.cfg.timeout, errStoreTimeout)
	defer cancel()
	answered := false
	defer func() {
		if !answered { // the store panicked
			m.mu.Lock()
			m.inflight--
			m.unknown++
			m.fill()
			m.mu.Unlock()
		}
	}()
	m.stats.appends.Add(1)
	previous, id, err = m.cfg.store.Append(ctx, m.cfg.stream, r)
	answered = true
	return previous, id, err
}

// failed accounts for an append that was answered with an error.
func (m *mirror) failed(ctx context.Context, entry logEntry, err error) (string, fanout.Position, error) {
	unknown := errors.Is(err, ErrOutcomeUnknown)
	given := ctx.Err() != nil // the publisher's own end says nothing of the store
	live := false
	m.mu.Lock()
	m.inflight--
	if m.trouble(); m.follower == nil && !given {
		m.interrupt()
	}
	if unknown {
		m.unknown++
		m.fill()
	} else if len(m.early) > 0 {
		m.gap()
	}
	if m.cfg.optional && !given && !errors.Is(err, ErrIDReserved) && !errors.Is(err, ErrStreamInUse) {
		m.down = true
		live = !unknown
		m.missed = m.missed || live
		m.interrupt()
	}
	m.mu.Unlock()
	m.stats.failures.Add(1)
	switch {
	case live:
		m.cfg.logger.LogAttrs(m.ctx, slog.LevelWarn, "store is down: events go out without ids", slog.String("stream", m.cfg.stream), slog.Any("error", err))
		m.deliver(entry)
		return "", 0, nil
	case unknown:
		return "", 0, fmt.Errorf("sse: append to stream %q: %w", m.cfg.stream, err)
	}
	return "", 0, fmt.Errorf("%w: append to stream %q: %w", ErrStore, m.cfg.stream, err)
}

// settle brings the record of an answer into the log, or has it wait for those before it.
func (m *mirror) settle(previous, id string, entry logEntry) (*answer, string, error) {
	epoch, pos, err := ParseID(id)
	before, prev, err2 := ParseID(previous)
	if err = cmp.Or(err, err2); err == nil && before != epoch {
		err = errReplaced
	}
	a := &answer{pos: fanout.Position(pos), entry: entry, done: make(chan struct{})}
	var laps []fanout.Lap
	m.mu.Lock()
	m.inflight--
	switch p := fanout.Position(prev); {
	case err != nil:
		m.unknown++
		m.interrupt()
		err = fmt.Errorf("%w: store answered with %q behind %q", ErrOutcomeUnknown, id, previous)
	case m.ended:
		close(a.done)
	case epoch != m.epoch: // the keeper brings the log there
		a.resolve(errReplaced)
		m.interrupt()
	case m.lost:
		m.doubt(a, true)
	case a.pos <= m.head:
		// It was read already, unless the store has given the position twice.
		d, known := m.recent.digest(a.pos)
		if known && d == entry.digest {
			a.resolve(nil)
			break
		}
		m.doubt(a, known || m.recent.reaches(a.pos))
	case p < m.head: // and yet the log has something between
		m.doubt(a, true)
	default:
		if old := m.early[p]; old != nil {
			m.doubt(old, true)
		}
		m.early[p] = a
		laps = m.drain()
		m.gap()
	}
	if m.flusher != nil && err == nil {
		m.unstored = append(m.unstored, unstored{a.pos, len(entry.frame)})
		m.bytes += len(entry.frame)
	}
	m.mu.Unlock()
	for _, l := range laps {
		l.Wait(m.ctx)
	}
	return a, epoch, err
}

// doubt has the keeper find out whether the store has lost what it had. It runs under the lock.
func (m *mirror) doubt(a *answer, certain bool) {
	a.doubted = true
	m.doubtful = append(m.doubtful, a)
	m.lost = m.lost || certain
	m.interrupt()
}

// doubts returns nil for an answer that is only waiting for others: its event is stored.
func (m *mirror) doubts(a *answer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a.doubted {
		return errReplaced
	}
	return nil
}

// believe ends all doubts. It runs under the lock.
func (m *mirror) believe(err error) {
	for _, a := range m.doubtful {
		a.resolve(err)
	}
	m.doubtful, m.lost = nil, false
}

func (a *answer) resolve(err error) {
	a.err = err
	close(a.done)
}

// acknowledge takes over what the store has stored meanwhile.
func (m *mirror) acknowledge() {
	stored := fanout.Position(m.flusher.Stored(m.cfg.stream))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch == "" {
		return
	}
	n := 0
	for n < len(m.unstored) && m.unstored[n].pos <= stored {
		m.bytes -= m.unstored[n].size
		n++
	}
	if m.unstored = m.unstored[n:]; len(m.unstored) == 0 {
		m.unstored = nil
	}
	m.core.Keep(stored)
}
