package sse

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/goceleris/celeris/internal/fanout"
)

// logEntry is what a record is in the log.
type logEntry struct {
	key    string
	frame  []byte
	topics []string
	hole   bool
	digest uint64
}

var digestSeed = maphash.MakeSeed() // digests are compared within this process only

// toEntry makes a log entry of a record. What can't be sent is a hole.
func toEntry(r Record) logEntry {
	if r.Hole {
		return logEntry{hole: true}
	}
	e := r.Event
	e.ID = ""
	frame, err := e.wire()
	if err != nil {
		return logEntry{hole: true}
	}
	return newEntry(e.Key, frame, r.Topics)
}

func newEntry(key string, frame []byte, topics []string) logEntry {
	if len(topics) == 0 {
		topics = defaultTopic
	}
	var h maphash.Hash
	h.SetSeed(digestSeed)
	h.Write(frame)
	for _, t := range topics {
		h.WriteByte(0)
		h.WriteString(t)
	}
	return logEntry{key: key, frame: frame, topics: topics, digest: h.Sum64()}
}

// drain puts what follows the head into the log. It runs under the lock.
func (m *mirror) drain() (laps []fanout.Lap) {
	for {
		a := m.early[m.head]
		if a == nil {
			return laps
		}
		delete(m.early, m.head)
		laps = append(laps, m.put(a.pos, a.entry))
		a.resolve(nil)
	}
}

// put makes an entry the newest of the log. It runs under the lock.
func (m *mirror) put(p fanout.Position, e logEntry) (lap fanout.Lap) {
	if e.hole {
		_ = m.core.Skip(m.epoch, p) // it is above the head
	} else {
		lap, _ = m.core.Insert(m.epoch, p, e.key, e.frame, e.topics...) // but for a core that is closed nothing can fail
	}
	m.head = p
	m.recent.add(p, e.digest)
	return lap
}

// gap sees to it that what is missing behind the head is found. It runs under the lock.
func (m *mirror) gap() {
	switch {
	case len(m.early) == 0 || m.ended:
	case m.inflight == 0 && m.follower == nil:
		m.fill()
	case !m.waiting:
		m.waiting = true
		m.working.Go(func() {
			select {
			case <-time.After(gapWait):
			case <-m.ctx.Done():
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.waiting = false; len(m.early) > 0 {
				m.fill()
			}
		})
	}
}

// read puts a record into the log that was read behind the position after.
func (m *mirror) read(after fanout.Position, r Record) (fanout.Position, error) {
	epoch, pos, err := ParseID(r.ID)
	if err != nil {
		return 0, fmt.Errorf("record id %q: %w", r.ID, err)
	}
	p, entry := fanout.Position(pos), toEntry(r)
	m.mu.Lock()
	var laps []fanout.Lap
	d, known := m.recent.digest(p)
	m.lost = m.lost || epoch == m.epoch && known && d != entry.digest
	switch {
	case epoch != m.epoch, p <= after, m.lost, after > m.head:
		m.mu.Unlock()
		return 0, errReplaced
	case p > m.head:
		if a := m.early[m.head]; a != nil { // it comes next
			delete(m.early, m.head)
			if a.pos != p {
				m.doubt(a, true)
			} else {
				defer a.resolve(nil)
			}
		}
		laps = append(laps, m.put(p, entry))
		laps = append(laps, m.drain()...)
	}
	m.mu.Unlock()
	for _, l := range laps {
		l.Wait(m.ctx)
	}
	return p, nil
}

// fill has what lies behind the head read, by one goroutine. It runs under the lock.
func (m *mirror) fill() {
	switch {
	case m.ended:
	case m.filling:
		m.again = true
	default:
		m.filling = true
		m.working.Go(m.filler)
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
