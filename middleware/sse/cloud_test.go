package sse_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/sse/replaytest"
)

// cloud is a store in memory that several brokers share, with one stream. It does what it is told to: answer late, lose
// answers, fail, forget, go back.
type cloud struct {
	mu       sync.Mutex
	epochs   int
	epoch    string
	head     uint64
	trimmed  uint64
	records  []sse.Record
	changed  chan struct{}
	down     error         // answer of every call
	hang     chan struct{} // every call waits for it
	cuts     chan struct{} // closed to break connections that follow
	fate     func() fate   // of an append; nil for the best
	stride   func() uint64 // between positions; nil for 1
	nobody   bool          // Open answers ErrStreamInUse
	reads    int           // calls of Since
	appends  int
	all      map[string][]sse.Record // of every epoch, also what was lost again
	torn     map[string]bool         // epochs that lost events
	tampered bool                    // something was trimmed, lost or marked
}

// fate is what becomes of one append.
type fate struct {
	lost  bool            // it is stored, and nobody told
	never bool            // it is not stored, and nobody told
	fail  error           // it is not stored
	wait  <-chan struct{} // before the answer
	sleep func()          // before the answer
}

var errLink = errors.New("connection is broken")

func newCloud() *cloud {
	c := &cloud{changed: make(chan struct{}), cuts: make(chan struct{}), all: map[string][]sse.Record{}, torn: map[string]bool{}}
	c.anew()
	return c
}

// anew begins an epoch. It runs under the lock.
func (c *cloud) anew() {
	c.epochs++
	c.epoch = fmt.Sprintf("e%d", c.epochs)
	c.head, c.trimmed, c.records = 0, 0, nil
}

func (c *cloud) enter(ctx context.Context) error {
	c.mu.Lock()
	hang, down := c.hang, c.down
	c.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return down
}

func (c *cloud) Open(ctx context.Context, _ string) (string, uint64, error) {
	if err := c.enter(ctx); err != nil {
		return "", 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nobody {
		return "", 0, sse.ErrStreamInUse
	}
	return c.epoch, c.head, nil
}

func (c *cloud) Append(ctx context.Context, _ string, r sse.Record) (previous, id string, err error) {
	if r.ID != "" || r.Event.ID != "" {
		return "", "", sse.ErrIDReserved
	}
	if err := c.enter(ctx); err != nil {
		return "", "", err
	}
	c.mu.Lock()
	var f fate
	if c.fate != nil {
		f = c.fate()
	}
	c.appends++
	if f.fail == nil && !f.never {
		previous, id = c.add(r)
	}
	c.mu.Unlock()
	if f.sleep != nil {
		f.sleep()
	}
	if f.wait != nil {
		select {
		case <-f.wait:
		case <-ctx.Done():
			return "", "", fmt.Errorf("%w: %w", sse.ErrOutcomeUnknown, context.Cause(ctx))
		}
	}
	switch {
	case f.fail != nil:
		return "", "", f.fail
	case f.lost, f.never:
		return "", "", sse.ErrOutcomeUnknown
	}
	return previous, id, nil
}

// add stores a record. It runs under the lock.
func (c *cloud) add(r sse.Record) (previous, id string) {
	previous = sse.FormatID(c.epoch, c.head)
	if c.head++; c.stride != nil {
		c.head += c.stride() - 1
	}
	r.ID = sse.FormatID(c.epoch, c.head)
	r.Topics = slices.Clone(r.Topics)
	c.records = append(c.records, r)
	c.all[c.epoch] = append(c.all[c.epoch], r)
	close(c.changed)
	c.changed = make(chan struct{})
	return previous, r.ID
}

// since returns what lies behind a position.
func (c *cloud) since(lastID string) ([]sse.Record, error) {
	if lastID == "" {
		return shared(c.records), nil
	}
	epoch, p, err := sse.ParseID(lastID)
	if err != nil || epoch != c.epoch || p > c.head || p < c.trimmed {
		return nil, sse.ErrLastIDUnknown
	}
	i := len(c.records)
	for i > 0 && position(c.records[i-1]) > p {
		i--
	}
	return shared(c.records[i:]), nil
}

// shared copies records for one reader.
func shared(list []sse.Record) []sse.Record {
	list = slices.Clone(list)
	for i := range list {
		list[i].Topics = slices.Clone(list[i].Topics)
	}
	return list
}

func position(r sse.Record) uint64 {
	_, p, _ := sse.ParseID(r.ID)
	return p
}

func (c *cloud) Since(ctx context.Context, _, lastID string) iter.Seq2[sse.Record, error] {
	return func(yield func(sse.Record, error) bool) {
		err := c.enter(ctx)
		var list []sse.Record
		c.mu.Lock()
		c.reads++
		if err == nil {
			list, err = c.since(lastID)
		}
		c.mu.Unlock()
		for _, r := range list {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(sse.Record{}, err)
		}
	}
}

func (c *cloud) Follow(ctx context.Context, _, lastID string) iter.Seq2[sse.Record, error] {
	return func(yield func(sse.Record, error) bool) {
		if err := c.enter(ctx); err != nil {
			yield(sse.Record{}, err)
			return
		}
		c.mu.Lock()
		cuts := c.cuts
		if lastID == "" {
			lastID = sse.FormatID(c.epoch, c.trimmed)
		}
		c.mu.Unlock()
		for {
			c.mu.Lock()
			list, err := c.since(lastID)
			changed := c.changed
			c.mu.Unlock()
			if err != nil {
				yield(sse.Record{}, err)
				return
			}
			for _, r := range list {
				if ctx.Err() != nil {
					break
				}
				if lastID = r.ID; !yield(r, nil) {
					return
				}
			}
			select {
			case <-changed:
			case <-cuts:
				yield(sse.Record{}, errLink)
				return
			case <-ctx.Done():
				yield(sse.Record{}, context.Cause(ctx))
				return
			}
		}
	}
}

func (c *cloud) Rotate(ctx context.Context, _, old string) (string, error) {
	if err := c.enter(ctx); err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch == old {
		c.anew()
		close(c.changed)
		c.changed = make(chan struct{})
	}
	return c.epoch, nil
}

// do runs f under the lock.
func (c *cloud) do(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// cut breaks all connections that follow. It runs under the lock.
func (c *cloud) cut() {
	close(c.cuts)
	c.cuts = make(chan struct{})
}

// trim forgets all but the newest n records. It runs under the lock.
func (c *cloud) trim(n int) {
	if drop := len(c.records) - n; drop > 0 {
		c.trimmed, c.records = position(c.records[drop-1]), c.records[drop:]
		c.tampered = true
	}
}

// rollBack loses the newest n records, as a server does that is restored from an older copy. It runs under the lock.
func (c *cloud) rollBack(n int) {
	n = min(n, len(c.records))
	if n == 0 {
		return
	}
	c.records = c.records[:len(c.records)-n]
	c.head = c.trimmed
	if k := len(c.records); k > 0 {
		c.head = position(c.records[k-1])
	}
	c.torn[c.epoch], c.tampered = true, true
	c.cut()
}

// alone is a cloud that can't be followed.
type alone struct{ c *cloud }

func (a alone) Open(ctx context.Context, s string) (string, uint64, error) { return a.c.Open(ctx, s) }
func (a alone) Append(ctx context.Context, s string, r sse.Record) (string, string, error) {
	return a.c.Append(ctx, s, r)
}
func (a alone) Since(ctx context.Context, s, lastID string) iter.Seq2[sse.Record, error] {
	return a.c.Since(ctx, s, lastID)
}
func (a alone) Rotate(ctx context.Context, s, old string) (string, error) {
	return a.c.Rotate(ctx, s, old)
}

// later is a cloud that answers before it has stored: nobody else can read what is not stored.
type later struct {
	alone
	l *lateness
}

type lateness struct {
	mu      sync.Mutex
	waiting []sse.Record // answered, not stored
	head    uint64       // of what was answered
	flushes int
}

func newLater(c *cloud) later { return later{alone{c}, &lateness{head: c.head}} }

func (s later) Append(ctx context.Context, _ string, r sse.Record) (previous, id string, err error) {
	if err := s.c.enter(ctx); err != nil {
		return "", "", err
	}
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	previous = sse.FormatID(s.c.epoch, s.l.head)
	s.l.head++
	r.ID = sse.FormatID(s.c.epoch, s.l.head)
	s.l.waiting = append(s.l.waiting, r)
	s.c.do(func() { s.c.all[s.c.epoch] = append(s.c.all[s.c.epoch], r) })
	return previous, r.ID, nil
}

// write stores the oldest n of what waits.
func (s later) write(n int) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	n = min(n, len(s.l.waiting))
	s.c.records = append(s.c.records, s.l.waiting[:n]...)
	if n > 0 {
		s.c.head = position(s.l.waiting[n-1])
	}
	s.l.waiting = s.l.waiting[n:]
}

// crash loses what waits; who opens the stream next leaves a mark.
func (s later) crash() {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if len(s.l.waiting) == 0 {
		return
	}
	s.l.waiting = nil
	s.l.head++
	s.c.head = s.l.head
	s.c.records = append(s.c.records, sse.Record{ID: sse.FormatID(s.c.epoch, s.c.head), Hole: true})
	s.c.tampered = true
}

func (s later) Flush(context.Context) error {
	s.write(1 << 30)
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.l.flushes++
	return nil
}

func (s later) Stored(string) uint64 {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.c.head
}

var (
	_ sse.Follower = (*cloud)(nil)
	_ sse.Rotator  = (*cloud)(nil)
	_ sse.Flusher  = later{}
)

// clouds is a cloud for each stream, as the contract asks for.
type clouds struct {
	mu   sync.Mutex
	open map[string]*cloud
}

func (s *clouds) of(stream string) *cloud {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[stream] == nil {
		s.open[stream] = newCloud()
		s.open[stream].epoch = fmt.Sprintf("s%de1", len(s.open))
	}
	return s.open[stream]
}

func (s *clouds) Open(ctx context.Context, n string) (string, uint64, error) {
	return s.of(n).Open(ctx, n)
}
func (s *clouds) Append(ctx context.Context, n string, r sse.Record) (string, string, error) {
	return s.of(n).Append(ctx, n, r)
}
func (s *clouds) Since(ctx context.Context, n, lastID string) iter.Seq2[sse.Record, error] {
	return s.of(n).Since(ctx, n, lastID)
}
func (s *clouds) Follow(ctx context.Context, n, lastID string) iter.Seq2[sse.Record, error] {
	return s.of(n).Follow(ctx, n, lastID)
}

// TestCloud_KeepsTheContract shows that what the tests here run on is a store.
func TestCloud_KeepsTheContract(t *testing.T) {
	replaytest.Run(t, func(*testing.T) sse.ReplayStore { return &clouds{open: map[string]*cloud{}} })
}
