package sse

import (
	"context"
	"time"

	"github.com/goceleris/celeris/internal/fanout"
)

const (
	// meetWait is how long a client waits that comes with an id of an epoch which the log has not reached.
	meetWait = time.Second
	// meetEvery is how often such clients have the store asked.
	meetEvery = 100 * time.Millisecond
)

// meet lets a client wait that comes from a process which knows of a newer epoch of the stream than this one: its id would
// be taken for an old one.
func (m *mirror) meet(ctx context.Context, lastID string) {
	if m == nil {
		return
	}
	epoch, _, err := ParseID(lastID)
	if err != nil || epoch == m.core.Epoch() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(meetWait, m.cfg.timeout))
	defer cancel()
	if m.storesEpoch(ctx) != epoch {
		return
	}
	m.mu.Lock()
	if m.epoch != epoch {
		m.interrupt()
	}
	m.mu.Unlock()
	for m.core.Epoch() != epoch {
		select {
		case <-time.After(keeperRetry / 2):
		case <-ctx.Done():
			return
		}
	}
}

// storesEpoch returns the epoch that the store had a moment ago, "" if it does not say.
func (m *mirror) storesEpoch(ctx context.Context) string {
	select {
	case m.meeting <- struct{}{}:
		defer func() { <-m.meeting }()
	case <-ctx.Done():
		return ""
	}
	if now := time.Now(); now.Sub(m.met) >= meetEvery {
		m.met = now
		m.metEpoch, _, _ = m.cfg.store.Open(ctx, m.cfg.stream)
	}
	return m.metEpoch
}

// openAt lets a member of a broker follow topics from lastID on.
func (b *Broker) openAt(ctx context.Context, member *fanout.Member, lastID string, topics []string) error {
	b.mirror.meet(ctx, lastID)
	return b.core.Open(member, lastID, topics...)
}
