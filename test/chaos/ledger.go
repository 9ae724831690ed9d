package chaos

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/goceleris/celeris/middleware/sse"
)

// ledger is what the publishers know.
type ledger struct {
	events int // as many are to be acknowledged

	mu       sync.Mutex // guards what follows
	next     int        // the last counter that was given out
	again    []int      // counters that were refused
	out      int        // counters whose outcome is awaited
	epoch    string
	acked    map[int]uint64
	unknown  map[int]bool
	refused  int // how often
	wrong    error
	progress chan struct{} // closed and replaced when acked grows
}

func newLedger(events int) *ledger {
	return &ledger{events: events, acked: make(map[int]uint64), unknown: make(map[int]bool), progress: make(chan struct{})}
}

// topicsOf returns the topics of a counter: one, or two.
func topicsOf(n int) set {
	s := set(1) << (n % topics)
	if n%7 == 0 {
		s |= 1 << ((n + 1) % topics)
	}
	return s
}

// take returns up to n counters to publish; none while others are under way that may be enough, and done when enough
// are acknowledged.
func (l *ledger) take(n int) (batch []int, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(n, l.events-len(l.acked)-l.out)
	for len(batch) < n {
		if k := len(l.again); k > 0 {
			batch, l.again = append(batch, l.again[k-1]), l.again[:k-1]
			continue
		}
		l.next++
		batch = append(batch, l.next)
	}
	l.out += len(batch)
	return batch, len(l.acked) >= l.events
}

// settle notes the outcome of a counter: an id if it was acknowledged, refused if it is not in the stream.
func (l *ledger) settle(n int, id string, refused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out--
	switch {
	case refused:
		l.refused++
		l.again = append(l.again, n)
	case id == "":
		l.unknown[n] = true
	default:
		epoch, position, err := sse.ParseID(id)
		if l.epoch = cmp.Or(l.epoch, epoch); err != nil || epoch != l.epoch {
			l.wrong = errors.Join(l.wrong, fmt.Errorf("event %d was acknowledged as %q; the epoch was %q", n, id, l.epoch))
		}
		l.acked[n] = position
		close(l.progress)
		l.progress = make(chan struct{})
	}
}

// count returns how many events are acknowledged, and a channel that is closed when there are more.
func (l *ledger) count() (int, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked), l.progress
}

// issued returns how many counters have been given out.
func (l *ledger) issued() int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int32(l.next)
}

// stream returns what was acknowledged, in its order.
func (l *ledger) stream() []record {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []record
	for n, position := range l.acked {
		all = append(all, record{position, n, topicsOf(n)})
	}
	slices.SortFunc(all, func(a, b record) int { return cmp.Compare(a.position, b.position) })
	return all
}

// around returns the position before the last event up to one, and that of the first event behind it; 0 if there is none.
func (l *ledger) around(position uint64, topics set) (before, after uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var last uint64
	for n, p := range l.acked {
		switch {
		case topicsOf(n)&topics == 0:
		case p > position:
			if after == 0 || p < after {
				after = p
			}
		case p > last:
			before, last = last, p
		case p > before:
			before = p
		}
	}
	return before, after
}

// acknowledged returns a copy of what was.
func (l *ledger) acknowledged() map[int]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.acked)
}

func (l *ledger) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wrong
}
