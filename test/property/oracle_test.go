package property

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
)

// truth is what was published, in the order of the positions.
type truth struct {
	plan    *plan
	epoch   string
	history int
	byTopic [topics][]uint64     // positions
	bySet   [allTopics + 1][]int // indices into the plan of the events that are due to a client with these topics
	wrong   []string             // what the publishers found
}

// newTruth is made when all is published.
func newTruth(p *plan, epoch string, history int) *truth {
	tr := &truth{plan: p, epoch: epoch, history: history}
	order := make([]int, len(p.events))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p.events[a].position, p.events[b].position) })
	for n, i := range order {
		e := &p.events[i]
		if n > 0 && e.position == p.events[order[n-1]].position || e.position == 0 {
			tr.wrong = append(tr.wrong, fmt.Sprintf("event %d got position %d, which is not its own", i, e.position))
		}
		for t := range topics {
			if e.topics.has(t) {
				tr.byTopic[t] = append(tr.byTopic[t], e.position)
			}
		}
		for s := range tr.bySet {
			if set(s)&e.topics != 0 {
				tr.bySet[s] = append(tr.bySet[s], i)
			}
		}
	}
	for who, turns := range p.turns {
		if !slices.IsSortedFunc(turns, func(a, b int) int { return cmp.Compare(p.events[a].position, p.events[b].position) }) {
			tr.wrong = append(tr.wrong, fmt.Sprintf("positions of publisher %d went back", who))
		}
	}
	return tr
}

// due returns how many events up to a position are due to a client with these topics.
func (tr *truth) due(s set, upTo uint64) int {
	return sort.Search(len(tr.bySet[s]), func(i int) bool { return tr.plan.events[tr.bySet[s][i]].position > upTo })
}

// retains reports whether a position is within the history when that many events are published.
func (tr *truth) retains(s set, p uint64, published counts) bool {
	for t := range topics {
		if !s.has(t) {
			continue
		}
		seen := sort.Search(len(tr.byTopic[t]), func(i int) bool { return tr.byTopic[t][i] > p })
		if published[t]-seen > tr.history {
			return false
		}
	}
	return true
}

// tally is what the judged clients did.
type tally struct {
	streams, cuts                                int
	inside, outside, either, eitherServed, fresh int
	events, positions, resyncs, counted          int
	bytes                                        int
}

func (t tally) String() string {
	return fmt.Sprintf("%d streams, %d cuts, resumes: %d inside, %d outside, %d in between (%d served), %d without an id; "+
		"%d events received, %d positions, %d resyncs (%d counted their loss), %d bytes",
		t.streams, t.cuts, t.inside, t.outside, t.either, t.eitherServed, t.fresh,
		t.events, t.positions, t.resyncs, t.counted, t.bytes)
}

// judge looks at what one client saw.
type judge struct {
	*truth
	*tally
	f          *follower
	violations []string

	known bool                        // the client has a position
	at    uint64                      // the one it came to
	next  int                         // how many events are due up to there
	seen  [publishers + 1][topics]int // counters; 0 is unknown
	n     int                         // of the stream
}

// judge returns what is wrong with what f saw, and adds to the tally.
func (tr *truth) judge(f *follower, sum *tally) []string {
	j := &judge{truth: tr, tally: sum, f: f}
	if f.failed != nil {
		j.blame("%v", f.failed)
	}
	if f.start != "" {
		_, j.at, j.known = position(f.start)
		j.next = j.due(f.topics, j.at)
	}
	for n, v := range f.visits {
		j.n = n
		j.visit(v)
		if len(j.violations) > 5 {
			break // the rest follows from these
		}
	}
	if f.failed == nil && len(j.violations) == 0 && j.next != len(tr.bySet[f.topics]) {
		j.blame("complete up to event %d of %d", j.next, len(tr.bySet[f.topics]))
	}
	return j.violations
}

func (j *judge) blame(format string, args ...any) {
	who := fmt.Sprintf("%s, topics %s, stream %d: ", j.f.name, j.f.topics, j.n)
	j.violations = append(j.violations, who+fmt.Sprintf(format, args...))
}

// verdict is what the oracle demands of a resume.
type verdict int

const (
	mayResync verdict = iota
	mustResync
	mustNotResync
)

func (j *judge) visit(v *visit) {
	j.streams++
	j.bytes += v.bytes
	if v.cut {
		j.cuts++
	}
	for _, s := range v.strange {
		j.blame("strange: %s", s)
	}
	want := j.begin(v)
	resyncs := 0
	for n, i := range v.items {
		switch i.event {
		case aResync:
			j.resync(v, resyncs, i.position, want)
			resyncs++
		case aPosition:
			j.positions++
			j.position(i.position)
		case unknown: // blamed already
		case aPrivate:
			if i.position != j.at {
				j.blame("private event with id %d, after %d", i.position, j.at)
			}
		default:
			j.events++
			if want == mustResync && resyncs == 0 {
				j.blame("event %d before the resync that %q must get", i.event, v.from)
			}
			j.event(i)
		}
		if !j.known {
			j.known = true
			if n > 0 {
				j.blame("item %d is the first with a position", n)
			}
		}
		if len(j.violations) > 5 {
			return
		}
	}
	if want == mayResync && v.from != "" && resyncs == 0 && len(v.items) > 0 {
		j.eitherServed++
	}
}

// begin looks at the resume.
func (j *judge) begin(v *visit) verdict {
	if v.from == "" {
		j.fresh++
		if j.known {
			j.blame("the client has lost its position %d", j.at)
		}
		return mustNotResync
	}
	epoch, p, _ := position(v.from)
	if epoch != j.epoch || p != j.at {
		j.blame("resumes from %q, was at %s-%d", v.from, j.epoch, j.at)
	}
	before, after := j.retains(j.f.topics, p, v.before), j.retains(j.f.topics, p, v.after)
	switch {
	case before && after:
		j.inside++
		return mustNotResync
	case !before && !after:
		j.outside++
		return mustResync
	}
	j.either++
	return mayResync
}

// position is an id without an event: nothing may be due up to it.
func (j *judge) position(p uint64) {
	if !j.known {
		j.at, j.next = p, j.due(j.f.topics, p)
		return
	}
	j.moved(p)
	if n := j.due(j.f.topics, p); n > j.next {
		j.blame("id %d passes %d events, the first at %d", p, n-j.next, j.upcoming())
		j.next = n
	}
}

// upcoming is the position of the next event that is due.
func (j *judge) upcoming() uint64 { return j.plan.events[j.bySet[j.f.topics][j.next]].position }

func (j *judge) moved(p uint64) {
	if p < j.at {
		j.blame("id went back from %d to %d", j.at, p)
	}
	j.at = p
}

func (j *judge) event(i item) {
	e := &j.plan.events[i.event]
	due := j.bySet[j.f.topics]
	switch {
	case e.position != i.position:
		j.blame("event %d came with id %d, was published as %d", i.event, i.position, e.position)
	case e.topics&j.f.topics == 0:
		j.blame("event %d of topics %s isn't for this client", i.event, e.topics)
	case j.next < len(due) && due[j.next] == i.event:
		j.next++
	case e.position <= j.at:
		j.blame("event %d at %d was repeated", i.event, e.position)
	default:
		n := j.due(j.f.topics, e.position)
		j.blame("%d events missing before the one at %d, the first at %d", n-1-j.next, e.position, j.upcoming())
		j.next = n
	}
	j.moved(i.position)
	// The counters tell the same without positions.
	for t := range topics {
		if !e.topics.has(t) || !j.f.topics.has(t) {
			continue
		}
		seen := &j.seen[e.publisher][t]
		if *seen != 0 && e.count[t] != *seen+1 {
			j.blame("publisher %d, topic %s: counter went from %d to %d", e.publisher, set(1<<t), *seen, e.count[t])
		}
		*seen = e.count[t]
	}
}

func (j *judge) resync(v *visit, n int, p uint64, want verdict) {
	j.resyncs++
	d := v.resyncs[n]
	switch {
	case j.f.held && d.Reason == "lagged":
	case v.from == "":
		j.blame("resync %+v on a stream that began without an id", d)
	case want == mustNotResync:
		j.blame("resync %+v at %d, though %q was retained: %v, later %v", d, p, v.from, v.before, v.after)
	case n > 0:
		j.blame("resync number %d on one stream", n+1)
	}
	j.moved(p)
	due := j.due(j.f.topics, p)
	if d.Reason != "expired" && d.Reason != "lagged" {
		j.blame("resync with reason %q", d.Reason)
	}
	if d.Dropped != 0 {
		j.counted++
		if d.Dropped != due-j.next {
			j.blame("resync says %d events were lost, %d were", d.Dropped, due-j.next)
		}
	}
	j.next = due
	clear(j.seen[:])
}
