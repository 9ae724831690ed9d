package fanout

import (
	"slices"
	"sort"
	"sync/atomic"
)

const (
	minSegment = 1 << 10
	maxSegment = 256 << 10
	// AloneAbove is the size, in bytes, above which a frame shares its memory with no other.
	AloneAbove = 64 << 10
	entryBytes = 24
)

// entry is one frame of a segment: buf[off:end].
type entry struct {
	pos      Position
	off, end uint32
	tag      *tag // nil without a key
}

// tag is what conflation must know of a frame.
type tag struct {
	key    string
	topics []*Topic
}

// supersedes reports whether a frame with tag b makes an earlier one with tag a obsolete: it has the same key and goes
// at least where that went.
func (b *tag) supersedes(a *tag) bool {
	return a.key == b.key && !slices.ContainsFunc(a.topics, func(t *Topic) bool { return !slices.Contains(b.topics, t) })
}

// segment is a run of frames. One writer, under the core's lock, appends; readers need no lock: they see the
// first n entries and the bytes these name, none of which ever changes again.
type segment struct {
	buf     []byte
	entries atomic.Pointer[[]entry] // replaced by a larger copy when full
	n       atomic.Int32
	topic   *Topic
	sharers int // topics whose segments share buf
	// twin has the same frames in another wording, for members with a window that is no smaller than its own; nil without.
	// It is there when the segment becomes visible, or never.
	twin   *segment
	window uint8

	// For the writer only.
	used   int
	newest int64 // when the last frame was appended, Unix nanoseconds
	freed  bool
	place  *place // in Core.segments
}

// place is where a queue has a segment. It lets go of one that is freed: what waits in the queue for its turn would
// hold its memory.
type place struct{ s *segment }

// free marks a segment whose frames are gone.
func (s *segment) free() {
	s.freed = true
	if s.place != nil {
		s.place.s = nil
	}
}

func newSegment(t *Topic, size, entries int) *segment {
	s := &segment{buf: make([]byte, size), topic: t, sharers: 1}
	s.entries.Store(new(make([]entry, entries)))
	return s
}

// add publishes the frame that the writer has put at buf[off:end].
func (s *segment) add(p Position, off, end int, now int64, g *tag) {
	n := int(s.n.Load())
	list := *s.entries.Load()
	if n == len(list) {
		list = append(list, make([]entry, n)...)
		s.entries.Store(&list)
	}
	list[n] = entry{pos: p, off: uint32(off), end: uint32(end), tag: g}
	s.used, s.newest = end, now
	s.n.Store(int32(n + 1))
}

// published returns the entries that are visible now. The count is read first: the list that is read after
// it holds at least as many.
func (s *segment) published() []entry {
	n := s.n.Load()
	return (*s.entries.Load())[:n]
}

// size is what the segment costs in memory, in bytes: its part of what it shares.
func (s *segment) size() int {
	n := len(s.buf)/s.sharers + entryBytes*len(*s.entries.Load())
	if s.twin != nil {
		n += s.twin.size()
	}
	return n
}

// last is the newest position in the segment.
func (s *segment) last() Position {
	list := s.published()
	return list[len(list)-1].pos
}

// after returns the index of the first entry behind p.
func after(list []entry, p Position) int {
	return sort.Search(len(list), func(i int) bool { return list[i].pos > p })
}
