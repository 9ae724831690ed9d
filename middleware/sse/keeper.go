package sse

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/goceleris/celeris/internal/fanout"
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

// place is where the log is.
type place struct {
	epoch  string
	head   fanout.Position
	digest uint64 // of the entry at head, if known
	known  bool
	lost   bool
	fell   bool
}

func (m *mirror) at() place {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.place()
}

// place runs under the lock.
func (m *mirror) place() place {
	p := place{epoch: m.epoch, head: m.head, lost: m.lost, fell: m.fell}
	p.digest, p.known = m.recent.digest(m.head)
	return p
}

// trouble remembers where the log was before the store may have lost something: what is appended behind that may hide it.
// It runs under the lock.
func (m *mirror) trouble() {
	if m.mark.epoch == "" {
		m.mark = m.place()
	}
}

// marked returns where the log was when something first failed.
func (m *mirror) marked() place {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mark
}

// compare brings the log to where the store is, if that is not where it was.
func (m *mirror) compare(ctx context.Context) error {
	mark := m.marked()
	was := m.at() // before the store is asked: what is appended meanwhile is ahead of its answer
	epoch, h, err := openStream(ctx, m.cfg)
	if err != nil {
		return err
	}
	head := fanout.Position(h)
	if epoch != was.epoch {
		m.renew(epoch, head)
		return nil
	}
	replaced := head < was.head
	for _, p := range []place{mark, was} {
		if replaced || !p.known || p.epoch != epoch {
			continue
		}
		if replaced, err = m.differs(ctx, p); err != nil {
			return err
		}
	}
	switch {
	case replaced, was.lost, was.fell && head == was.head:
		return m.rotate(ctx, epoch)
	case was.fell: // it has forgotten what comes next
		m.skip(was, head)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mark == mark {
		m.mark = place{}
	}
	if m.fell = false; !m.lost {
		m.believe(nil)
	}
	return nil
}

// learn reads what the store has where the log begins, to know it again.
func (m *mirror) learn(ctx context.Context) error {
	at := m.at()
	if at.known || at.head == 0 {
		return nil
	}
	r, ok, err := m.one(ctx, at)
	if err != nil || !ok || r.ID != FormatID(at.epoch, uint64(at.head)) {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch == at.epoch && len(m.recent.list) == 0 && m.head == at.head {
		m.recent.add(at.head, toEntry(r).digest)
	}
	return nil
}

// one reads the record at a place, or the first behind it; it is not ok if there is none any more.
func (m *mirror) one(ctx context.Context, at place) (r Record, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.timeout)
	defer cancel()
	for r, err := range m.cfg.store.Since(ctx, m.cfg.stream, FormatID(at.epoch, uint64(at.head)-1)) {
		if errors.Is(err, ErrLastIDUnknown) {
			return Record{}, false, nil
		}
		return r, err == nil, err
	}
	return Record{}, false, nil
}

// differs reports whether the store has something else where the log's newest entry is.
func (m *mirror) differs(ctx context.Context, was place) (bool, error) {
	r, ok, err := m.one(ctx, was) // when that is gone, nobody can tell any more
	return ok && (r.ID != FormatID(was.epoch, uint64(was.head)) || toEntry(r).digest != was.digest), err
}

// rotate gives a stream that lost events another epoch, so that no position means two things.
func (m *mirror) rotate(ctx context.Context, epoch string) error {
	r, ok := m.cfg.store.(Rotator)
	if !ok {
		return fmt.Errorf("sse: stream %q went back in its store, which can't begin a new epoch: %w", m.cfg.stream, errors.ErrUnsupported)
	}
	ctx, cancel := context.WithTimeout(ctx, m.cfg.timeout)
	defer cancel()
	if _, err := r.Rotate(ctx, m.cfg.stream, epoch); err != nil {
		return err
	}
	epoch, head, err := openStream(ctx, m.cfg)
	if err != nil {
		return err
	}
	m.renew(epoch, fanout.Position(head))
	return nil
}

// renew begins a new epoch of the log.
func (m *mirror) renew(epoch string, head fanout.Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, a := range m.early {
		delete(m.early, p)
		a.resolve(errReplaced)
	}
	m.believe(errReplaced)
	m.epoch, m.head, m.recent, m.unknown = epoch, head, recent{}, 0
	m.fell, m.mark = false, place{}
	m.unstored, m.bytes = nil, 0
	m.core.Rotate(epoch, head)
	if m.flusher != nil {
		m.core.Keep(head)
	}
	m.stats.rotations.Add(1)
	m.cfg.logger.LogAttrs(m.ctx, slog.LevelWarn, "log begins anew", slog.String("stream", m.cfg.stream), slog.String("epoch", epoch))
}

// skip gives up what lies between the log's head and the store's.
func (m *mirror) skip(was place, head fanout.Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch != was.epoch || m.head >= head {
		return
	}
	m.put(head, logEntry{hole: true})
	m.recent = recent{} // what is at head is not known
	for p, a := range m.early {
		if a.pos <= head || p < head {
			delete(m.early, p)
			a.resolve(nil) // it is stored
		}
	}
	m.drain()
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

// filler reads what lies behind the head until the log has it.
func (m *mirror) filler() {
	began, wait := time.Now(), keeperRetry
	for {
		m.mu.Lock()
		m.again = false
		m.mu.Unlock()
		err := m.catchUp()
		m.mu.Lock()
		late := m.unknown > 0 && m.follower == nil && time.Since(began) < lateAppends
		switch {
		case m.ended, errors.Is(err, ErrLastIDUnknown), errors.Is(err, errReplaced), err == nil && !m.again && !late:
			m.filling, m.unknown = false, 0
			if err != nil {
				m.fell = m.fell || errors.Is(err, ErrLastIDUnknown)
				m.interrupt()
			}
			m.mu.Unlock()
			return
		case m.again && err == nil:
			wait = keeperRetry
			m.mu.Unlock()
			continue
		}
		m.mu.Unlock()
		select {
		case <-time.After(wait):
		case <-m.ctx.Done():
		}
		wait = min(2*wait, keeperRetryMax)
	}
}

// catchUp reads to the end of the store.
func (m *mirror) catchUp() (err error) {
	defer func() {
		if p := recover(); p != nil {
			m.core.CountPanic()
			err = fmt.Errorf("sse: the store panicked: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(m.ctx, m.cfg.timeout)
	defer cancel()
	at := m.at()
	after := at.head
	for r, err := range m.cfg.store.Since(ctx, m.cfg.stream, FormatID(at.epoch, uint64(at.head))) {
		if err == nil {
			after, err = m.read(after, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// source is a mirror's store as its core sees it.
type source struct{ *mirror }

var _ fanout.Source = source{}

// Reaches implements [fanout.Source]. A stream of another epoch does not contradict: who asks learns of that soon.
func (s source) Reaches(ctx context.Context, epoch string, p fanout.Position) (bool, error) {
	now, head, err := openStream(ctx, s.cfg)
	return now != epoch || fanout.Position(head) >= p, err
}

// Since implements [fanout.Source].
func (s source) Since(ctx context.Context, epoch string, p fanout.Position) iter.Seq2[fanout.Record, error] {
	return func(yield func(fanout.Record, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.timeout)
		defer cancel()
		for r, err := range s.cfg.store.Since(ctx, s.cfg.stream, FormatID(epoch, uint64(p))) {
			var rec fanout.Record
			if err == nil {
				rec, err = toRecord(epoch, r)
			}
			if errors.Is(err, ErrLastIDUnknown) {
				err = fanout.ErrGone
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

func toRecord(epoch string, r Record) (fanout.Record, error) {
	of, p, err := ParseID(r.ID)
	if err != nil || of != epoch {
		return fanout.Record{}, ErrLastIDUnknown
	}
	e := toEntry(r)
	return fanout.Record{Position: fanout.Position(p), Frame: e.frame, Topics: e.topics, Hole: e.hole}, nil
}
