//go:build linux

package sockets

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/middleware/sse"
)

// visit is one stream of a client as it was recorded.
type visit struct {
	from   string // the id that it was opened with
	opened call
	topics set // it was opened with
	blocks []block
	moves  []move
	sends  []sent
	cut    bool // by the client
}

// move is a join or a leave at run time.
type move struct {
	call
	topic int
	join  bool
}

// sent is a private event that was accepted.
type sent struct {
	call
	n int
}

// span is a membership, with bounds for its two ends.
type span struct {
	topic            int
	fromLo, fromHi   fanout.Position
	untilLo, untilHi fanout.Position
}

// answer is whether an event is due.
type answer int

const (
	no answer = iota
	maybe
	yes
)

func (s *span) due(p fanout.Position) answer {
	switch {
	case p <= s.fromLo || p > s.untilHi:
		return no
	case p > s.fromHi && p <= s.untilLo:
		return yes
	}
	return maybe
}

// fate is what became of what was due to a client.
type fate struct {
	due, delivered, dropped, superseded int
	resyncs, removed, farewells         int
	privates, streams                   int
}

func (f *fate) add(g fate) {
	f.due += g.due
	f.delivered += g.delivered
	f.dropped += g.dropped
	f.superseded += g.superseded
	f.resyncs += g.resyncs
	f.removed += g.removed
	f.farewells += g.farewells
	f.privates += g.privates
	f.streams += g.streams
}

// judge looks at what one client got. It is used when all is over.
type judge struct {
	*records
	fate
	name   string
	policy sse.BrokerPolicy
	slow   bool // the client may have been behind
	wrong  []string

	known  bool
	at     fanout.Position
	spans  []span
	passed int // events that newer ones made obsolete, since the last notice

	// On this stream:
	v        *visit
	newest   fanout.Position // event
	noticed  fanout.Position // resync
	barrier  fanout.Position // what private events have shown to be over
	removal  bool
	farewell bool
	private  int // how many of the visit's private events have come
}

func (j *judge) blame(format string, args ...any) {
	if len(j.wrong) < 5 { // the rest follows from these
		j.wrong = append(j.wrong, fmt.Sprintf("%s, stream %d from %q: ", j.name, j.streams, j.v.from)+fmt.Sprintf(format, args...))
	}
}

// visit judges one stream.
func (j *judge) visit(v *visit) {
	j.streams++
	j.v, j.newest, j.noticed, j.barrier, j.removal, j.farewell, j.private = v, 0, 0, 0, false, false, 0
	j.spans = nil
	for t := range topics {
		if v.topics.has(t) {
			j.spans = append(j.spans, span{topic: t, untilLo: math.MaxUint64, untilHi: math.MaxUint64})
		}
	}
	if v.from == "" {
		j.known = false
	} else {
		epoch, p, ok := fanout.ParseID(v.from)
		if !ok || epoch != j.epoch || p != j.at {
			j.blame("the client was at %s-%d", j.epoch, j.at)
		}
		for i := range j.spans {
			j.spans[i].fromLo, j.spans[i].fromHi = p, p
		}
	}
	for _, m := range v.moves {
		j.move(m)
	}
	for _, b := range v.blocks {
		j.block(b)
	}
	j.superseded, j.passed = j.superseded+j.passed, 0
	if !v.cut && !j.farewell && j.private < len(v.sends) {
		j.blame("%d of %d private events came", j.private, len(v.sends))
	}
}

// begin takes the position that a stream without one begins at.
func (j *judge) begin(p fanout.Position) {
	if lo, hi := j.bracket(j.v.opened); p < lo || p > hi {
		j.blame("begins at %d, was opened between %d and %d", p, lo, hi)
	}
	j.known, j.at = true, p
	for i := range j.spans {
		if s := &j.spans[i]; j.v.topics.has(s.topic) && s.fromHi == 0 {
			s.fromLo, s.fromHi = p, p
		}
	}
}

func (j *judge) move(m move) {
	lo, hi := j.bracket(m.call)
	if m.join {
		j.spans = append(j.spans, span{topic: m.topic, fromLo: lo, fromHi: hi, untilLo: math.MaxUint64, untilHi: math.MaxUint64})
		return
	}
	for i := range j.spans {
		if s := &j.spans[i]; s.topic == m.topic && s.untilHi == math.MaxUint64 {
			s.untilLo, s.untilHi = lo, hi
		}
	}
}

// follows are all topics that the stream has ever followed.
func (j *judge) follows() (s set) {
	for i := range j.spans {
		s |= 1 << j.spans[i].topic
	}
	return s
}

func (j *judge) answer(e *event) (a answer) {
	for i := range j.spans {
		if s := &j.spans[i]; e.topics.has(s.topic) {
			a = max(a, s.due(e.pos))
		}
	}
	return a
}

// learn narrows the bounds of memberships by whether an event came that may have been due.
func (j *judge) learn(e *event, came bool) {
	var open []*span
	for i := range j.spans {
		if s := &j.spans[i]; e.topics.has(s.topic) && s.due(e.pos) == maybe {
			open = append(open, s)
		}
	}
	if came && len(open) > 1 {
		return // one of them, who knows which
	}
	for _, s := range open {
		switch begins := e.pos <= s.fromHi; {
		case begins && came:
			s.fromHi = e.pos - 1
		case begins:
			s.fromLo = e.pos
		case came:
			s.untilLo = e.pos
		default:
			s.untilHi = e.pos - 1
		}
	}
}

// obsolete reports whether e may be skipped because of a newer event.
func (j *judge) obsolete(e *event) bool {
	if j.policy != sse.BrokerPolicyLatest || !j.slow || e.key == "" {
		return false
	}
	return slices.ContainsFunc(j.order[j.after(e.pos):], func(x *event) bool {
		return x.key == e.key && x.topics&e.topics == e.topics && j.answer(x) != no
	})
}

func (j *judge) block(b block) {
	if j.farewell {
		j.blame("%+v behind the farewell", b)
	}
	to := j.at
	if b.id != "" {
		epoch, p, ok := fanout.ParseID(b.id)
		switch {
		case !ok || epoch != j.epoch:
			j.blame("id %q", b.id)
			return
		case !j.known:
			j.begin(p)
		case p < j.at:
			j.blame("id goes back from %d to %d", j.at, p)
			return
		}
		if j.removal {
			j.blame("id %d behind its removal", p)
		}
		to = p
	}
	switch b.event {
	case "resync":
		j.resync(b, to)
	case "conflated":
		n, ok := number(b.data, "skipped")
		if !ok || n != j.passed || n == 0 {
			j.blame("told of %s, %d were passed over", b.data, j.passed)
		}
		j.superseded, j.passed = j.superseded+j.passed, 0
	case "private":
		j.privateEvent(b)
	case "farewell":
		j.farewell = true
		j.farewells++
	case "":
		if b.data != "" {
			j.event(b, to)
		} else if b.id != "" {
			j.pass(to)
		}
	default:
		j.blame("%+v", b)
	}
	j.at = to
}

// number reads one field of an object.
func number(data, name string) (int, bool) {
	var v map[string]any
	if json.Unmarshal([]byte(data), &v) != nil {
		return 0, false
	}
	f, ok := v[name].(float64)
	return int(f), ok
}

// pass is an id that passes what is not sent: nothing of it may be due.
func (j *judge) pass(to fanout.Position) {
	for _, e := range j.order[j.after(j.at):j.after(to)] {
		j.skip(e)
	}
}

// skip judges an event that was due before another and did not come.
func (j *judge) skip(e *event) {
	switch a := j.answer(e); {
	case a == yes && j.obsolete(e):
		j.due++
		j.passed++
	case a == yes:
		j.due++
		j.blame("event %d at %d is missing", e.n, e.pos)
	case a == maybe:
		j.learn(e, false)
	}
}

func (j *judge) event(b block, at fanout.Position) {
	text, _, _ := strings.Cut(b.data, " ")
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n >= len(j.events) || b.id == "" || b.data != payload(j.events[n]) {
		j.blame("event %.60q with id %q was never published", b.data, b.id)
		return
	}
	e := j.events[n]
	switch {
	case e.pos != at:
		j.blame("event %d has id %d, was published as %d", n, at, e.pos)
		return
	case at <= j.at:
		j.blame("event %d at %d is behind %d: twice, or out of order", n, at, j.at)
		return
	case j.barrier >= at:
		j.blame("event at %d behind a private one from %d on", at, j.barrier)
	}
	for _, x := range j.order[j.after(j.at) : j.after(at)-1] {
		j.skip(x)
	}
	switch j.answer(e) {
	case no:
		j.blame("event %d at %d of topics %v is not its own", n, at, e.topics.names())
	case maybe:
		j.learn(e, true)
	case yes:
	}
	j.due++
	j.delivered++
	j.newest = at
}

func (j *judge) resync(b block, to fanout.Position) {
	var d struct {
		Dropped int
		Reason  string
	}
	if err := json.Unmarshal([]byte(b.data), &d); err != nil {
		j.blame("resync %q", b.data)
		return
	}
	switch d.Reason {
	case "removed":
		j.removal = true
		j.removed++
		if b.id != "" || j.policy != sse.BrokerPolicyRemove || !j.slow || d.Dropped < 1 {
			j.blame("%+v", b)
		}
		return
	case "lagged", "expired":
	default:
		j.blame("resync %+v", d)
	}
	j.resyncs++
	least, most := 0, 0
	for _, e := range j.order[j.after(j.at):j.after(to)] {
		switch j.answer(e) {
		case yes:
			most++
			if !j.obsolete(e) {
				least++
			}
		case maybe:
			most++
		case no:
		}
	}
	gone := j.gone(j.follows(), j.at, to)
	mayDrop := j.policy == sse.BrokerPolicyDrop || j.policy == sse.BrokerPolicyLatest
	switch {
	case !j.slow:
		j.blame("resync %+v for a reader that keeps up", d)
	case b.id == "":
		j.blame("resync %+v without an id", d)
	case d.Reason == "lagged" && !mayDrop && !gone:
		j.blame("resync %+v, though its policy is %d and the history has everything", d, j.policy)
	case d.Reason == "expired" && !gone:
		j.blame("resync %+v, though the history has everything from %d to %d", d, j.at, to)
	case d.Dropped == 0 && !gone:
		j.blame("resync %+v, though %d to %d events of the history were skipped", d, least, most)
	case d.Dropped != 0 && (d.Dropped < least || d.Dropped > most):
		j.blame("resync %+v, %d to %d events were skipped", d, least, most)
	case j.newest > to || j.barrier > to:
		j.blame("resync at %d behind the event at %d and private ones from %d on", to, j.newest, j.barrier)
	}
	n := d.Dropped
	if n == 0 {
		n = most
	}
	j.due += n
	j.dropped += n
	j.superseded, j.passed = j.superseded+j.passed, 0
	j.noticed = to
}

func (j *judge) privateEvent(b block) {
	n, err := strconv.Atoi(b.data)
	if err != nil || j.private >= len(j.v.sends) || j.v.sends[j.private].n != n || b.id != "" {
		j.blame("private event %q out of order, or with an id", b.data)
		return
	}
	lo, hi := j.bracket(j.v.sends[j.private].call)
	j.private++
	j.privates++
	if j.newest > hi || j.noticed > hi {
		j.blame("private event %d from before %d behind an event at %d or a notice at %d", n, hi, j.newest, j.noticed)
	}
	j.barrier = max(j.barrier, lo)
}

// payload is the data of an event: its number and as many bytes as the number says.
func payload(e *event) string {
	size := 40 + e.n*37%200
	switch {
	case e.n%500 == 499:
		size = 20 << 10
	case e.n%5000 == 4998:
		size = 70 << 10 // shares its memory with no other
	}
	return strconv.Itoa(e.n) + " " + strings.Repeat("x", size)
}
