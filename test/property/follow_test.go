package property

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
)

// What an item is that isn't an event.
const (
	aPosition = -1 // an id without an event
	aResync   = -2
	aPrivate  = -3 // sent to this client alone
	unknown   = -4 // nothing of the plan
)

// item is what a client got.
type item struct {
	position uint64
	event    int // index into the plan, or one of the above
}

// resync is what the data of a resync event says.
type resync struct {
	Dropped int    `json:"dropped"`
	Reason  string `json:"reason"`
}

// visit is one stream of a client, as it is recorded.
type visit struct {
	from    string // the Last-Event-ID it was opened with
	before  counts // events that were published for certain before it was opened
	after   counts // events that may have been when it had caught up, been told of a loss or been cut
	items   []item
	resyncs []resync
	private []string // data of private events
	strange []string // what is no item
	cut     bool
	bytes   int
}

// habits is what clients do.
type habits struct {
	history int     // what the server retains
	reach   float64 // mean of the bytes between two cuts
	far     float64 // probability of staying away until the position has left the history
	mutate  mutation
}

// follower is one client: it comes back until it has seen everything.
type follower struct {
	name   string
	topics set
	plan   *plan
	pace   *pace
	dialer dialer
	habits habits
	rng    *rand.Rand
	seeded bool   // its parser starts a stream with the id that it comes with
	slow   bool   // its parser is the reference
	away   func() // waits between two streams
	start  string // the id that it has from an earlier life
	held   bool   // it may be told that it lagged

	lastID string // as it was parsed
	visits []*visit
	vain   int // how many streams since the id changed
	failed error
}

// run follows until everything is seen.
func (f *follower) run(ctx context.Context) {
	for f.failed == nil {
		all := f.visit(ctx)
		if all {
			return
		}
		if ctx.Err() != nil {
			f.failed = fmt.Errorf("at %q, its %d. stream: %w", f.lastID, len(f.visits), context.Cause(ctx))
			return
		}
		f.away()
	}
}

// stayAway waits for a random number of events.
func (f *follower) stayAway() {
	follows := f.topics.names()
	topic := int(follows[f.rng.IntN(len(follows))][0] - topicNames[0])
	switch r := f.rng.Float64(); {
	case r < f.habits.far:
		f.pace.await(topic, f.habits.history+1+f.rng.IntN(f.habits.history))
	case r < 0.3: // around the edge of the history, if it was caught up
		f.pace.await(topic, f.rng.IntN(f.habits.history))
	}
}

// reach is after how many bytes a stream is cut: more and more while large events let the client make no progress.
func (f *follower) reach() int {
	if f.rng.IntN(5) == 0 {
		return f.rng.IntN(400)
	}
	return int(f.rng.ExpFloat64()*f.habits.reach) << min(f.vain, 8)
}

func (f *follower) visit(ctx context.Context) (all bool) {
	v := &visit{from: f.lastID, before: f.pace.connect(f)}
	defer func() {
		f.pace.disconnect(f)
		if f.vain++; f.lastID != v.from {
			f.vain = 0
		}
	}()
	w, err := f.dialer.open(ctx, f.rng, f.topics, v.from, f.reach())
	if errors.Is(err, errCut) {
		v.after, v.cut = f.pace.started(), true
		f.visits = append(f.visits, v)
		return false
	}
	if err != nil {
		f.failed = fmt.Errorf("open with %q: %w", v.from, err)
		return false
	}
	defer w.close()
	f.visits = append(f.visits, v)
	if f.habits.mutate != nil {
		w = &mutated{wire: w, change: f.habits.mutate(f.rng, v.from)}
	}
	r := &recorder{follower: f, visit: v, target: f.pace.target(f)}
	all, err = r.read(w)
	if !r.settled {
		v.after = f.pace.started()
	}
	v.cut = errors.Is(err, errCut)
	if err != nil && !v.cut && ctx.Err() == nil {
		f.failed = fmt.Errorf("stream from %q broke: %w", v.from, err)
	}
	return all
}

// recorder turns a stream into a visit.
type recorder struct {
	*follower
	visit   *visit
	target  uint64 // the position at which it has caught up
	settled bool   // it has
	at      uint64
	epoch   string
}

// read records until the stream breaks or everything is seen.
func (r *recorder) read(w wire) (all bool, err error) {
	var p parser
	switch {
	case r.slow:
		p = new(whole)
	case r.seeded:
		p = &lines{id: r.visit.from}
	default:
		p = new(lines)
	}
	buf := make([]byte, 4<<10)
	for {
		n, err := w.Read(buf)
		r.visit.bytes += n
		p.feed(buf[:n], r.block)
		if n > 0 {
			if !r.settled && r.at >= r.target {
				r.settle()
			}
			if r.pace.reached(r.follower, r.at) {
				return true, nil
			}
		}
		if err != nil {
			return false, err
		}
	}
}

// settle takes note of what may be published by now.
func (r *recorder) settle() {
	r.settled = true
	r.visit.after = r.pace.started()
}

func (r *recorder) block(b block) {
	moved := b.lastID != r.lastID
	r.lastID = b.lastID
	v := r.visit
	if moved || b.dispatched || r.epoch == "" {
		if epoch, p, ok := position(b.lastID); ok {
			if r.epoch != "" && r.epoch != epoch {
				v.strange = append(v.strange, "epoch changed: "+b.lastID)
			}
			r.epoch, r.at = epoch, p
		} else if b.lastID != "" {
			v.strange = append(v.strange, fmt.Sprintf("id %q", b.lastID))
		}
	}
	i := item{position: r.at, event: aPosition}
	switch {
	case b.dispatched && b.kind == "resync":
		var d resync
		if err := json.Unmarshal([]byte(b.data), &d); err != nil {
			v.strange = append(v.strange, fmt.Sprintf("resync %q: %v", b.data, err))
		}
		v.resyncs = append(v.resyncs, d)
		i.event = aResync
		if !r.settled {
			r.settle()
		}
	case b.dispatched && b.kind == "private":
		v.private = append(v.private, b.data)
		i.event = aPrivate
	case b.dispatched:
		if i.event = r.plan.find(b.kind, b.data); i.event < 0 {
			i.event = unknown
			v.strange = append(v.strange, fmt.Sprintf("event %.100q %.100q", b.kind, b.data))
		}
	case b.lastID == "":
		return // no position
	}
	v.items = append(v.items, i)
}
