package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
)

// topics is how many there are; a set of them is a set of bits.
const (
	topics    = 3
	allTopics = 1<<topics - 1
)

// set is a set of topics.
type set uint8

// record is one event of the stream.
type record struct {
	position uint64
	n        int // its counter, from 1
	topics   set
}

// step is what a client met next.
type step struct {
	position uint64
	n        int32 // a counter, opened or resynced
	issued   int32 // of a resync: how many counters had been given out when it came, at most as many were in the stream
}

const (
	// opened is a connection that goes on at the step's position.
	opened = 0
	// resynced is a resync event; the step's position is where it goes on.
	resynced = -1
)

// history is all that a client met.
type history struct {
	topics set
	steps  []step
}

// evidence is what a run has left.
type evidence struct {
	records   []record       // the stream, in its order
	acked     map[int]uint64 // positions of counters that were acknowledged
	retained  int            // the store keeps at least as many of the newest records
	histories []history
}

// verdict is what the evidence comes to.
type verdict struct {
	events, clients                                     int
	unmarkedGaps, duplicates, resyncs, needless, strays int
	examples                                            []string
}

func (v *verdict) note(format string, args ...any) {
	if len(v.examples) < 20 {
		v.examples = append(v.examples, fmt.Sprintf(format, args...))
	}
}

// err returns what is wrong, nil if nothing is.
func (v *verdict) err() error {
	if v.unmarkedGaps+v.duplicates+v.needless+v.strays == 0 {
		return nil
	}
	return fmt.Errorf("%d unmarked gaps, %d duplicates, %d needless resyncs, %d strays: %q",
		v.unmarkedGaps, v.duplicates, v.needless, v.strays, v.examples)
}

// judge looks at a run that has come to its end: all clients have had the time to see everything.
func judge(e evidence) *verdict {
	v := &verdict{events: len(e.records), clients: len(e.histories)}
	index := v.stream(e)
	for topics := set(1); topics <= allTopics; topics++ {
		due := slices.DeleteFunc(slices.Clone(e.records), func(r record) bool { return r.topics&topics == 0 })
		place := make(map[int]int, len(due))
		for i, r := range due {
			place[r.n] = i
		}
		for i, h := range e.histories {
			if h.topics == topics {
				j := &judgement{verdict: v, evidence: e, index: index, due: due, place: place, client: i}
				j.follow(h.steps)
			}
		}
	}
	return v
}

// stream compares the stream with what was acknowledged and returns where each counter is.
func (v *verdict) stream(e evidence) map[int]int {
	index := make(map[int]int, len(e.records))
	for i, r := range e.records {
		if i > 0 && r.position <= e.records[i-1].position {
			v.strays++
			v.note("the stream has position %d behind %d", r.position, e.records[i-1].position)
		}
		if _, ok := index[r.n]; ok {
			v.duplicates++
			v.note("the stream has event %d twice", r.n)
			continue
		}
		index[r.n] = i
	}
	for n, position := range e.acked {
		switch i, ok := index[n]; {
		case !ok:
			v.unmarkedGaps++
			v.note("event %d was acknowledged at %d and is not in the stream", n, position)
		case e.records[i].position != position:
			v.strays++
			v.note("event %d was acknowledged at %d and is at %d", n, position, e.records[i].position)
		}
	}
	return index
}

// judgement is about one client.
type judgement struct {
	*verdict
	evidence
	index  map[int]int // of counters in records
	due    []record
	place  map[int]int // of counters in due
	client int

	next int    // index of the event in due that comes next
	last uint64 // the position that the client goes on at
}

func (j *judgement) follow(steps []step) {
	for _, s := range steps {
		switch s.n {
		case opened:
			j.last = max(j.last, s.position)
		case resynced:
			j.resync(s.position, int(s.issued))
		default:
			j.event(int(s.n), s.position)
		}
	}
	if left := len(j.due) - j.next; left > 0 {
		j.unmarkedGaps++
		j.note("client %d never saw the last %d events, from %d on", j.client, left, j.due[j.next].n)
	}
}

func (j *judgement) event(n int, position uint64) {
	i, ok := j.place[n]
	if !ok || j.due[i].position != position {
		j.strays++
		j.note("client %d got event %d at %d, which is not what the stream has there", j.client, n, position)
		return
	}
	j.last = max(j.last, position)
	if i < j.next {
		j.duplicates++
		j.note("client %d got event %d again", j.client, n)
		return
	}
	if i > j.next {
		j.unmarkedGaps++
		j.note("client %d did not get event %d nor %d more before %d", j.client, j.due[j.next].n, i-j.next-1, n)
	}
	j.next = i + 1
}

// resync lets the client go on behind a position.
func (j *judgement) resync(position uint64, issued int) {
	j.resyncs++
	if since := issued - j.behind(j.last); since <= j.retained {
		j.needless++
		j.note("client %d, at %d, had to resync at %d though the store had the %d events since", j.client, j.last, position, since)
	}
	behind, _ := slices.BinarySearchFunc(j.due, position+1, func(r record, p uint64) int { return cmp.Compare(r.position, p) })
	j.next = max(j.next, behind)
	j.last = max(j.last, position)
}

// behind returns how many records are at or before a position.
func (j *judgement) behind(position uint64) int {
	return sort.Search(len(j.records), func(i int) bool { return j.records[i].position > position })
}
