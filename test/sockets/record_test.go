//go:build linux

package sockets

import (
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/goceleris/celeris/internal/fanout"
)

// set is topics, by the bits of their numbers.
type set uint

const (
	topics   = 6
	everyone = set(1)<<topics - 1
)

func (s set) has(t int) bool { return s>>t&1 == 1 }

func (s set) names() (names []string) {
	for t := range topics {
		if s.has(t) {
			names = append(names, topicName(t))
		}
	}
	return names
}

func topicName(t int) string { return string(rune('a' + t)) }

// call is between which ticks somebody called something.
type call struct{ began, over int64 }

// clock gives ticks out, which order what doesn't overlap.
type clock struct{ n atomic.Int64 }

func (c *clock) time(f func()) (at call) {
	at.began = c.n.Add(1)
	f()
	at.over = c.n.Add(1)
	return at
}

// event is what was published.
type event struct {
	call
	n      int
	pos    fanout.Position
	topics set
	key    string
}

// records are the events of a run, and tell who is due what when all of them are there.
type records struct {
	clock
	history int

	mu     sync.Mutex // guards what follows
	epoch  string
	events []*event // by number

	order   []*event // by position
	over    []int64  // ticks, sorted, and the highest position that was out by each
	reached []fanout.Position
	began   []int64 // ticks, sorted, and the lowest position that was begun at or after each
	coming  []fanout.Position
}

// add makes room for an event and returns it with its number.
func (r *records) add(to set, key string) *event {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := &event{n: len(r.events), topics: to, key: key}
	r.events = append(r.events, e)
	return e
}

// seal is called when all is published.
func (r *records) seal() {
	r.order = slices.SortedFunc(slices.Values(r.events), func(a, b *event) int { return int(int64(a.pos) - int64(b.pos)) })
	byOver := slices.SortedFunc(slices.Values(r.events), func(a, b *event) int { return int(a.over - b.over) })
	highest := fanout.Position(0)
	for _, e := range byOver {
		highest = max(highest, e.pos)
		r.over, r.reached = append(r.over, e.over), append(r.reached, highest)
	}
	byBegan := slices.SortedFunc(slices.Values(r.events), func(a, b *event) int { return int(a.began - b.began) })
	r.began, r.coming = make([]int64, len(byBegan)), make([]fanout.Position, len(byBegan))
	lowest := fanout.Position(math.MaxUint64)
	for i, e := range slices.Backward(byBegan) {
		lowest = min(lowest, e.pos)
		r.began[i], r.coming[i] = e.began, lowest
	}
}

// bracket returns between which heads a call took place.
func (r *records) bracket(c call) (lo, hi fanout.Position) {
	if i := sort.Search(len(r.over), func(i int) bool { return r.over[i] >= c.began }); i > 0 {
		lo = r.reached[i-1]
	}
	hi = math.MaxUint64
	if i := sort.Search(len(r.began), func(i int) bool { return r.began[i] > c.over }); i < len(r.began) {
		hi = r.coming[i] - 1
	}
	return lo, hi
}

// after returns the index in the order of the first event behind a position.
func (r *records) after(p fanout.Position) int {
	return sort.Search(len(r.order), func(i int) bool { return r.order[i].pos > p })
}

// gone reports whether the history may have lost something of topics in (at, head].
func (r *records) gone(s set, at, head fanout.Position) bool {
	var counts [topics]int
	for _, e := range r.order[r.after(at):r.after(head)] {
		for t := range topics {
			if e.topics.has(t) && s.has(t) {
				if counts[t]++; counts[t] > r.history {
					return true
				}
			}
		}
	}
	return false
}
