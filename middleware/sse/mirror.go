package sse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
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

// answer is an append that was answered, on its way into the log.
type answer struct {
	pos     fanout.Position
	entry   logEntry
	doubted bool // guarded by mirror.mu
	err     error
	done    chan struct{} // closed when the log has it, or err is set
}

// logEntry is what a record is in the log.
type logEntry struct {
	key    string
	frame  []byte
	topics []string
	hole   bool
	digest uint64
}

type unstored struct {
	pos  fanout.Position
	size int
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

// newMirror makes a mirror and, with configure, the core whose log it keeps. The stream is open, unless epoch is "".
func newMirror(cfg mirrorConfig, fc fanout.Config, epoch string, head uint64) *mirror {
	m := &mirror{cfg: cfg, epoch: epoch, head: fanout.Position(head), early: make(map[fanout.Position]*answer)}
	m.follower, _ = cfg.store.(Follower)
	m.flusher, _ = cfg.store.(Flusher)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.interrupt, m.meeting = func() {}, make(chan struct{}, 1)
	m.down = epoch == "" // else nobody looks at it
	m.missed = m.down
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
