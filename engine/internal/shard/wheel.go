package shard

import "time"

const (
	tick  = 50 * time.Millisecond
	slots = 1024
)

// node is a stream's place in the wheel.
type node struct {
	prev, next *node
	due        int64 // tick
	stream     *Stream
}

// wheel is a hashed timer wheel: a deadline costs the same however many there are. It is as precise as its tick. What
// is further away than a turn hangs in the last slot of this one and is hung further on when that comes up.
type wheel struct {
	slots [slots]node // heads of circular lists
	far   []*node     // what up hangs further on
	now   int64       // ticks up to which everything has come up
	count int
}

func newWheel() *wheel {
	w := &wheel{}
	for i := range w.slots {
		h := &w.slots[i]
		h.prev, h.next = h, h
	}
	return w
}

func ticks(t instant) int64 { return int64(t) / int64(tick) }

// hang puts n up for t, or moves it there.
func (w *wheel) hang(n *node, t instant) {
	w.drop(n)
	n.due = max(ticks(t.add(tick-1)), w.now+1)
	w.put(n)
}

func (w *wheel) put(n *node) {
	h := &w.slots[min(n.due, w.now+slots-1)%slots]
	n.prev, n.next = h.prev, h
	h.prev.next, h.prev = n, n
	w.count++
}

// drop takes n down.
func (w *wheel) drop(n *node) {
	if n.next == nil {
		return
	}
	n.prev.next, n.next.prev = n.next, n.prev
	n.prev, n.next = nil, nil
	w.count--
}

// up takes down and appends all streams whose time has come.
func (w *wheel) up(list []*Stream, now instant) []*Stream {
	end := ticks(now)
	from := max(w.now+1, end-slots+1)
	w.now = max(w.now, end)
	for t := from; t <= end; t++ {
		h := &w.slots[t%slots]
		for n := h.next; n != h; {
			next := n.next
			w.drop(n)
			if n.due <= end {
				list = append(list, n.stream)
			} else {
				w.far = append(w.far, n) // its new slot may be one of these
			}
			n = next
		}
	}
	for _, n := range w.far {
		w.put(n)
	}
	clear(w.far)
	w.far = w.far[:0]
	return list
}

// all returns the streams that hang: all that have arrived and are not closed.
func (w *wheel) all() []*Stream {
	list := make([]*Stream, 0, w.count)
	for i := range w.slots {
		h := &w.slots[i]
		for n := h.next; n != h; n = n.next {
			list = append(list, n.stream)
		}
	}
	return list
}

// next is when something may come up; far in the future if nothing hangs.
func (w *wheel) next(now instant) instant {
	if w.count == 0 {
		return now.add(time.Hour)
	}
	for t := w.now + 1; t <= w.now+slots; t++ {
		if h := &w.slots[t%slots]; h.next != h {
			return instant(t * int64(tick))
		}
	}
	return instant((w.now + slots) * int64(tick))
}
