package property

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

const (
	topics     = 4
	publishers = 4
	last       = publishers // publishes the last event of all
	topicNames = "abcd"
)

// set is a set of topics, a bit for each.
type set uint8

const allTopics set = 1<<topics - 1

func (s set) has(topic int) bool { return s&(1<<topic) != 0 }

// names are the topics as a broker knows them.
func (s set) names() []string {
	var names []string
	for t := range topics {
		if s.has(t) {
			names = append(names, topicNames[t:t+1])
		}
	}
	return names
}

func (s set) String() string { return strings.Join(s.names(), "") }

// event is one of the plan. Its payload names it and carries a counter for each of its topics.
type event struct {
	publisher int
	topics    set
	count     [topics]int // how many events of the topic its publisher has sent, this one included
	kind      string
	data      string

	// position is the ground truth: what Publish returned. Its publisher sets it; it is read when all have finished.
	position uint64
}

// plan is what is published. The last event goes to all topics, when everything else is out.
type plan struct {
	events []event
	turns  [publishers + 1][]int // indices into events, by publisher
	counts [publishers + 1][topics]int
}

// add appends an event. Its payload begins with its index and its counters.
func (p *plan) add(publisher int, to set, kind, text string) {
	i := len(p.events)
	e := event{publisher: publisher, topics: to, kind: kind}
	var b strings.Builder
	fmt.Fprint(&b, i)
	for t := range topics {
		if to.has(t) {
			p.counts[publisher][t]++
			e.count[t] = p.counts[publisher][t]
			fmt.Fprintf(&b, " %c%d", topicNames[t], e.count[t])
		}
	}
	e.data = b.String() + text
	p.events = append(p.events, e)
	p.turns[publisher] = append(p.turns[publisher], i)
}

func newPlan(rng *rand.Rand, n int) *plan {
	p := &plan{}
	for range n - 1 {
		to := set(1) << rng.IntN(topics)
		if rng.IntN(4) == 0 {
			to |= 1 << rng.IntN(topics)
		}
		kind, text := "", ""
		switch r := rng.IntN(8192); {
		case r == 0: // shares its memory in the history with no other
			text = " " + strings.Repeat("x", 70<<10)
		case r < 32:
			text = " " + strings.Repeat("x", rng.IntN(4<<10))
		case r < 256:
			text = "\nsecond line\n"
		case r < 512:
			kind = "tick"
		}
		p.add(rng.IntN(publishers), to, kind, text)
	}
	p.add(last, allTopics, "", "")
	return p
}

// find returns the index of the event that a client got, or -1.
func (p *plan) find(kind, data string) int {
	n, digits := 0, 0
	for ; digits < len(data) && digits < 9 && data[digits] >= '0' && data[digits] <= '9'; digits++ {
		n = 10*n + int(data[digits]-'0')
	}
	if digits == 0 || n >= len(p.events) || p.events[n].data != data || p.events[n].kind != kind {
		return -1
	}
	return n
}
