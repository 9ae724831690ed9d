package fanout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// chunkFrames and chunkBytes bound what is read from a source at once; one frame always has room.
	chunkFrames = 1024
	chunkBytes  = 256 << 10
	// cacheBytes bounds what is kept of it for others that missed the same.
	cacheBytes = 8 << 20
	// maxReads bounds how many reads run at once.
	maxReads = 64
	// sourcePatience is for how long a source that fails is asked again. Who waits for it is told that it lost frames then.
	sourcePatience = time.Minute
	sourceRetry    = 50 * time.Millisecond
	sourceRetryMax = 2 * time.Second
)

// errAhead means that a position is in the future of its source.
var errAhead = errors.New("fanout: position is ahead of the source")

// chunk is a range of a source, framed as a log frames it. It is immutable and shared.
type chunk struct {
	era    *era
	from   Position // it has everything in (from, upTo]
	upTo   Position
	end    string // why nothing follows: "" if something may
	buf    []byte
	list   []entry
	topics map[string][]int // which of list they have
}

// covers reports whether the chunk says what comes behind p.
func (ch *chunk) covers(p Position) bool {
	return ch.from <= p && (p < ch.upTo || p == ch.upTo && ch.end != "")
}

// read is a chunk under way.
type read struct {
	era     *era
	from    Position
	stop    Position // where another chunk begins
	probe   bool
	waiters []waiter
}

type waiter struct {
	m  *Member
	at Position
}

// feeder reads for members what memory has forgotten. Those that miss the same share it.
type feeder struct {
	core   *Core
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
	reads  atomic.Int64 // of the source, ever

	mu     sync.Mutex // guards what follows; it comes after Member.mu
	ended  bool
	cache  []*chunk // the least recently used first
	bytes  int      // of the cache
	active []*read  // running, then waiting for their turn
	runs   int      // how many of active run
}

func newFeeder(c *Core) *feeder {
	f := &feeder{core: c}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// ask returns the chunk that covers p, or has it brought to m. With alone set a read for others is no help.
func (f *feeder) ask(m *Member, e *era, p Position, probe, alone bool) *chunk {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return nil
	}
	var best *read
	stop := forever
	if !probe {
		for i, ch := range f.cache {
			if ch.era != e {
				continue
			}
			if ch.covers(p) {
				f.cache = append(slices.Delete(f.cache, i, i+1), ch)
				return ch
			}
			if ch.from > p {
				stop = min(stop, ch.from)
			}
		}
	}
	for _, r := range f.active {
		switch {
		case r.era != e || r.probe != probe:
		case r.from == p || !alone && !probe && r.from < p && (best == nil || r.from > best.from):
			best = r
		case r.from > p:
			stop = min(stop, r.from)
		}
		if best != nil && best.from == p {
			break
		}
	}
	if best == nil {
		best = &read{era: e, from: p, stop: stop, probe: probe}
		f.active = append(f.active, best)
	}
	best.waiters = append(best.waiters, waiter{m, p})
	f.next()
	return nil
}

// next starts reads that have their turn. It runs under the lock.
func (f *feeder) next() {
	for f.runs < min(len(f.active), maxReads) && !f.ended {
		r := f.active[f.runs]
		f.runs++
		f.done.Go(func() { f.run(r) })
	}
}

// run reads one chunk and hands it to all who wait for it.
func (f *feeder) run(r *read) {
	ch, reason := f.fetch(r)
	f.mu.Lock()
	i := slices.Index(f.active, r)
	f.active = slices.Delete(f.active, i, i+1)
	f.runs--
	if ch != nil && !r.probe {
		f.keep(ch)
	}
	waiters := r.waiters
	f.next()
	ended := f.ended
	f.mu.Unlock()
	for _, w := range waiters {
		switch {
		case ended: // nobody is told of a loss for that
		case !r.probe && w.at != r.from && (ch == nil || !ch.covers(w.at)): // also when only what is before it is gone
			w.m.fed(r.era, nil, "", false)
		default:
			w.m.fed(r.era, ch, reason, r.probe)
		}
	}
}

// keep puts a chunk into the cache.
func (f *feeder) keep(ch *chunk) {
	if f.core.era.Load() != ch.era {
		return
	}
	f.cache = append(f.cache, ch)
	for f.bytes += len(ch.buf); f.bytes > cacheBytes && len(f.cache) > 1; f.cache = slices.Delete(f.cache, 0, 1) {
		f.bytes -= len(f.cache[0].buf)
	}
}

// fetch reads until the source answers, or there is no hope for some reason.
func (f *feeder) fetch(r *read) (ch *chunk, reason string) {
	deadline := time.Now().Add(sourcePatience)
	for wait := sourceRetry; ; wait = min(2*wait, sourceRetryMax) {
		ch, err := f.read(r)
		switch {
		case errors.Is(err, errAhead):
			return nil, UnknownID
		case errors.Is(err, ErrGone):
			return nil, Expired
		case err == nil && (r.probe || ch.upTo > ch.from || ch.end != ""):
			return ch, ""
		}
		// It failed, or has not caught up with what it once had.
		if time.Until(deadline) < 0 {
			return nil, Expired
		}
		select {
		case <-time.After(wait):
		case <-f.ctx.Done():
			return nil, Expired
		}
		if f.core.era.Load() != r.era {
			return nil, Expired // its waiters know more by now
		}
	}
}

// read reads one chunk.
func (f *feeder) read(r *read) (ch *chunk, err error) {
	defer func() {
		if p := recover(); p != nil {
			f.core.CountPanic()
			ch, err = nil, fmt.Errorf("fanout: the source panicked: %v", p)
		}
	}()
	if r.probe {
		known, err := f.core.cfg.Source.Reaches(f.ctx, r.era.epoch, r.from)
		if err == nil && !known {
			err = errAhead
		}
		return nil, err
	}
	f.reads.Add(1)
	ch = &chunk{era: r.era, from: r.from, upTo: r.from, topics: make(map[string][]int)}
	framing := f.core.cfg.Framing
	for rec, err := range f.core.cfg.Source.Since(f.ctx, r.era.epoch, r.from) {
		switch {
		case err != nil && len(ch.list) > 0:
			return ch, nil // the next read finds out
		case err != nil:
			return nil, err
		case rec.Position > r.stop: // and nothing is between
			ch.upTo = r.stop
			return ch, nil
		case rec.Position <= ch.upTo:
			return nil, ErrOrder
		case rec.Hole:
			ch.end = Hole
			return ch, nil
		}
		off := len(ch.buf)
		ch.buf = framing.AppendStamp(ch.buf, r.era.epoch, rec.Position)
		ch.buf = append(ch.buf, rec.Frame...)
		for _, t := range rec.Topics {
			if l := ch.topics[t]; len(l) == 0 || l[len(l)-1] != len(ch.list) {
				ch.topics[t] = append(l, len(ch.list))
			}
		}
		ch.list = append(ch.list, entry{pos: rec.Position, off: uint32(off), end: uint32(len(ch.buf))})
		ch.upTo = rec.Position
		if len(ch.list) == chunkFrames || len(ch.buf) >= chunkBytes {
			return ch, nil
		}
	}
	return ch, nil
}

// forget drops what is of another era. It runs under the core's lock.
func (f *feeder) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cache, f.bytes = nil, 0
}

// waiting is how many members wait for a read.
func (f *feeder) waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.active {
		n += len(r.waiters)
	}
	return n
}

// stop ends all reads and waits for them, until ctx ends.
func (f *feeder) stop(ctx context.Context) error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	f.ended = true
	f.active = f.active[:f.runs]
	f.mu.Unlock()
	f.cancel()
	done := make(chan struct{})
	go func() {
		f.done.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
