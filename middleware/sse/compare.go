package sse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/goceleris/celeris/internal/fanout"
)

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
