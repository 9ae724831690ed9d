package sse

import (
	"container/list"
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"slices"
	"sync"
)

const (
	defaultRingEvents = 1024

	// maxRingStreams bounds the streams of a RingBuffer.
	maxRingStreams = 4096

	// ringChunk is how many records a reader copies in one go, under the lock.
	ringChunk = 64
)

// RingBuffer is a [ReplayStore] in memory: it keeps the newest events of each
// stream and forgets them with the process, whose next one starts with other
// epochs. It is a [Follower], starts no goroutine and needs no closing.
//
// It holds at most 4096 streams; another one takes the place of the stream
// that was used least recently. A forgotten stream that comes back has a new
// epoch, so an ID from before is [ErrLastIDUnknown] and never answered with
// other events.
//
// All methods may be called concurrently.
type RingBuffer struct {
	size       int // events per stream
	maxStreams int

	mu      sync.Mutex // guards all below, and the streams
	streams map[string]*ringStream
	recent  list.List // of *ringStream, the most recently used first
}

var (
	_ ReplayStore = (*RingBuffer)(nil)
	_ Follower    = (*RingBuffer)(nil)
)

// ringStream is one stream. Positions are dense: the records kept are those of
// (head-len(records), head], the one of position p at index (p-1) % size.
type ringStream struct {
	name    string
	epoch   string
	element *list.Element
	head    uint64
	lastID  string // of head
	records []Record
	changed chan struct{} // closed at the next change; nil while nobody waits
	gone    bool          // forgotten
}

// NewRingBuffer returns a store that keeps the newest n events of each stream.
// Zero means 1024. Memory grows with what is appended, not with n.
func NewRingBuffer(n int) *RingBuffer {
	if n < 0 {
		panic(fmt.Sprintf("sse: NewRingBuffer(%d): n is the number of events kept per stream; zero means %d",
			n, defaultRingEvents))
	}
	if n == 0 {
		n = defaultRingEvents
	}
	return &RingBuffer{
		size:       n,
		maxStreams: maxRingStreams,
		streams:    make(map[string]*ringStream),
	}
}

// Open implements [ReplayStore].
func (r *RingBuffer) Open(ctx context.Context, stream string) (epoch string, head uint64, err error) {
	if ctx.Err() != nil {
		return "", 0, fmt.Errorf("sse: open stream %q: %w", stream, context.Cause(ctx))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.use(stream)
	return s.epoch, s.head, nil
}

// Append implements [ReplayStore]. It never returns [ErrOutcomeUnknown].
func (r *RingBuffer) Append(ctx context.Context, stream string, record Record) (previous, id string, err error) {
	if record.ID != "" || record.Event.ID != "" {
		return "", "", ErrIDReserved
	}
	if ctx.Err() != nil {
		return "", "", fmt.Errorf("sse: append to stream %q: %w", stream, context.Cause(ctx))
	}
	record.Topics = slices.Clone(record.Topics)

	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.use(stream)
	previous = s.lastID
	s.head++
	s.lastID = FormatID(s.epoch, s.head)
	record.ID = s.lastID
	if len(s.records) < r.size {
		s.records = append(s.records, record)
	} else {
		*s.at(s.head, r.size) = record
	}
	s.notify()
	return previous, s.lastID, nil
}

// Since implements [ReplayStore]. The head is that at the time of ranging.
func (r *RingBuffer) Since(ctx context.Context, stream, lastID string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		cursor, ok, err := r.seek(stream, lastID, false)
		if err != nil {
			yield(Record{}, err)
			return
		}
		if !ok {
			// Nothing was ever kept; only the context is left to answer for.
			if ctx.Err() != nil {
				yield(Record{}, context.Cause(ctx))
			}
			return
		}
		r.read(ctx, cursor, false, yield)
	}
}

// Follow implements [Follower]. A stream that is forgotten while it is followed
// ends with [ErrLastIDUnknown].
func (r *RingBuffer) Follow(ctx context.Context, stream, lastID string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		cursor, _, err := r.seek(stream, lastID, true)
		if err != nil {
			yield(Record{}, err)
			return
		}
		r.read(ctx, cursor, true, yield)
	}
}

// ringCursor is a place in a stream.
type ringCursor struct {
	stream   *ringStream
	position uint64 // of the newest record already read
	head     uint64 // of the stream when reading began
}

// seek returns the place behind lastID. It reports false for the beginning of a
// stream that doesn't exist, or creates that.
func (r *RingBuffer) seek(stream, lastID string, create bool) (cursor ringCursor, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.streams[stream]
	if lastID == "" {
		if s == nil && !create {
			return ringCursor{}, false, nil
		}
		s = r.use(stream)
		return ringCursor{s, s.trimmed(), s.head}, true, nil
	}
	epoch, position, err := ParseID(lastID)
	if err != nil {
		return ringCursor{}, false, err
	}
	if s == nil || epoch != s.epoch || position > s.head || position < s.trimmed() {
		return ringCursor{}, false, ErrLastIDUnknown
	}
	r.use(stream)
	return ringCursor{s, position, s.head}, true, nil
}

// read yields what lies behind the cursor, to the head it began with or, if
// wait is set, to the end of ctx. User code runs between chunks, never under
// the lock.
func (r *RingBuffer) read(ctx context.Context, c ringCursor, wait bool, yield func(Record, error) bool) {
	chunk := make([]Record, 0, ringChunk)
	for {
		var changed <-chan struct{}
		var err error
		chunk, changed, err = r.next(&c, wait, chunk[:0])
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			yield(Record{}, err)
			return
		}
		for _, record := range chunk {
			if ctx.Err() != nil {
				yield(Record{}, context.Cause(ctx))
				return
			}
			record.Topics = slices.Clone(record.Topics)
			if !yield(record, nil) {
				return
			}
		}
		if len(chunk) > 0 {
			continue
		}
		if !wait {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// next appends the cursor's next records to chunk, or returns a channel that is
// closed when there may be some.
func (r *RingBuffer) next(c *ringCursor, wait bool, chunk []Record) ([]Record, <-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := c.stream
	last := c.head
	if wait {
		last = s.head
	}
	if c.position == last && (!wait || !s.gone) {
		if wait && s.changed == nil {
			s.changed = make(chan struct{})
		}
		return chunk, s.changed, nil
	}
	if s.gone || c.position < s.trimmed() {
		return chunk, nil, ErrLastIDUnknown
	}
	for len(chunk) < ringChunk && c.position < last {
		c.position++
		chunk = append(chunk, *s.at(c.position, r.size))
	}
	return chunk, nil, nil
}

// use returns the stream as the most recently used one. It creates it if there
// is none, in place of the least recently used if there are too many. Call with
// the lock held.
func (r *RingBuffer) use(name string) *ringStream {
	if s := r.streams[name]; s != nil {
		r.recent.MoveToFront(s.element)
		return s
	}
	if len(r.streams) >= r.maxStreams {
		oldest := r.recent.Remove(r.recent.Back()).(*ringStream)
		delete(r.streams, oldest.name)
		oldest.gone = true
		oldest.records = nil
		oldest.notify()
	}
	epoch := ringEpoch()
	s := &ringStream{name: name, epoch: epoch, lastID: FormatID(epoch, 0)}
	s.element = r.recent.PushFront(s)
	r.streams[name] = s
	return s
}

// at returns the slot of a position that is kept, or of the one that takes the
// oldest's place.
func (s *ringStream) at(position uint64, size int) *Record {
	return &s.records[(position-1)%uint64(size)]
}

// trimmed is the newest position that is no longer kept, zero if all are.
func (s *ringStream) trimmed() uint64 { return s.head - uint64(len(s.records)) }

// notify wakes who waits for a change.
func (s *ringStream) notify() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// ringEpoch returns 65 random bits: enough that no two streams share an epoch,
// short enough for every event to carry it.
func ringEpoch() string { return rand.Text()[:13] }
