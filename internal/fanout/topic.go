package fanout

import (
	"container/list"
	"sync/atomic"
)

// view is what readers see of a log. It is replaced as a whole, so segments and freed always fit.
type view struct {
	segs  []*segment
	freed Position // newest position whose frame is gone
}

// Topic is the log of one topic: append-only segments, oldest first.
type Topic struct {
	name string
	view atomic.Pointer[view]
	last atomic.Uint64 // newest position appended, or the floor it started from

	// Guarded by Core.mu.
	events  uint64        // frames ever appended
	expired Position      // newest position beyond History: a resume from below it is refused
	oldest  *segment      // where the oldest frame within History is
	at      int           // its index there
	kept    int           // frames within History
	members int           // members that have joined and not left
	idle    *list.Element // place among the topics without members
	touched int64         // last publish or last leave, Unix nanoseconds
	caught  uint64        // events when all members that take bytes had caught up
	lap     *lap          // what its publishers wait for now
	dirty   bool          // in Core.dirty
	dropped bool
	takers  *takers // members that can read twins; nil while there has been none
}

func newTopic(name string, floor Position, now int64) *Topic {
	t := &Topic{name: name, expired: floor, touched: now}
	t.view.Store(&view{freed: floor})
	t.last.Store(uint64(floor))
	return t
}

// tail is the segment that is being appended to, or nil.
func (t *Topic) tail() *segment {
	if v := t.view.Load(); len(v.segs) > 0 {
		return v.segs[len(v.segs)-1]
	}
	return nil
}

// room returns a segment with place for need more bytes, and twin more in the wording for that window, and whether it is
// new.
func (t *Topic) room(need, twin int, window uint8, w *wording) (s *segment, fresh bool) {
	size := minSegment
	if s = t.tail(); s != nil {
		full := len(s.buf)-s.used < need || len(s.buf) > maxSegment || s.twin != nil && len(s.twin.buf)-s.twin.used < twin
		if !full && s.takes(window, w) {
			return s, false
		}
		if size = max(size, min(len(s.buf), maxSegment)); full {
			size = min(2*size, maxSegment)
		}
		if window == 0 && s.twin != nil {
			window = t.window() // others are to come
		}
	}
	for size < need {
		size *= 2
	}
	s = newSegment(t, size, size/128)
	if window > 0 {
		s.twin = newSegment(t, max(size/2, twin), size/128)
		s.twin.window = window
	}
	return s, true
}

// attach makes a segment visible that already holds its first frame.
func (t *Topic) attach(s *segment) {
	v := t.view.Load()
	segs := make([]*segment, len(v.segs)+1)
	copy(segs, v.segs)
	segs[len(v.segs)] = s
	t.view.Store(&view{segs: segs, freed: v.freed})
}

// appended accounts for a frame at p that is in s now.
func (t *Topic) appended(s *segment, p Position, history int, kept Position, now int64) {
	t.events++
	t.touched = now
	if t.oldest == nil {
		t.oldest, t.at = s, int(s.n.Load())-1
	}
	t.kept++
	for n := 0; n < 2 && t.kept > history && t.oldest.published()[t.at].pos <= kept; n++ {
		t.expire()
	}
	t.last.Store(uint64(p))
}

// expire moves the end of History one frame on.
func (t *Topic) expire() {
	list := t.oldest.published()
	t.expired = list[t.at].pos
	t.kept--
	if t.at++; t.at < len(list) {
		return
	}
	t.at = 0
	segs := t.view.Load().segs
	for i, s := range segs {
		if s == t.oldest && i+1 < len(segs) {
			t.oldest = segs[i+1]
			return
		}
	}
	t.oldest = nil
}

// freeFirst forgets the oldest segment.
func (t *Topic) freeFirst() *segment {
	v := t.view.Load()
	s := v.segs[0]
	list := s.published()
	freed := list[len(list)-1].pos
	s.free()
	segs := append([]*segment(nil), v.segs[1:]...)
	t.view.Store(&view{segs: segs, freed: freed})
	if t.oldest == s {
		t.kept -= len(list) - t.at
		t.oldest, t.at = nil, 0
		if len(segs) > 0 {
			t.oldest = segs[0]
		}
	}
	t.expired = max(t.expired, freed)
	return s
}

// compact forgets all but the newest frame of a log that is one segment, and returns the new one, or nil if that
// saves nothing.
func (t *Topic) compact() *segment {
	v := t.view.Load()
	s := v.segs[0]
	list := s.published()
	e, before := list[len(list)-1], v.freed
	size := int(e.end - e.off)
	if len(list) > 1 {
		before = list[len(list)-2].pos
	} else if cost := max(minSegment, size) + 8*entryBytes; cost > s.size()/4*3 {
		return nil // it is not worth a copy
	}
	one := newSegment(t, max(minSegment, size), 8)
	copy(one.buf, s.buf[e.off:e.end])
	one.add(e.pos, 0, size, s.newest, e.tag)
	s.free()
	t.view.Store(&view{segs: []*segment{one}, freed: before})
	t.oldest, t.at, t.kept = one, 0, 1
	t.expired = max(t.expired, before)
	return one
}

// clear forgets everything; who still reads the topic falls off.
func (t *Topic) clear() {
	last := Position(t.last.Load())
	for _, s := range t.view.Load().segs {
		s.free()
	}
	t.view.Store(&view{freed: last})
	t.expired, t.oldest, t.at, t.kept = last, nil, 0, 0
}
