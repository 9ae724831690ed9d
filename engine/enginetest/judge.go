package enginetest

import (
	"time"

	"github.com/goceleris/celeris/internal/fanout"
)

// block judges one block.
func (v *viewer) block(b block) {
	w, to := v.w, v.pos
	switch {
	case v.farewell:
		w.fail("%v: %+v behind the farewell", v.link, b)
	case v.mustTell != "" && b.kind != kindResync && (b.id || b.kind == kindEvent):
		w.fail("%v: %+v before the notice %q", v.link, b, v.mustTell)
	}
	if b.id {
		if to = b.pos; to < v.pos {
			w.fail("%v: id goes back from %d to %d", v.link, v.pos, to)
		}
		if v.removed {
			w.fail("%v: id %d behind its removal", v.link, to)
		}
		v.lastID = v.parser.LastID()
	}
	switch b.kind {
	case kindResync:
		v.notice(b, to)
	case kindPrivate:
		v.private(b.n)
	case kindEvent:
		v.event(b, to)
	case kindConflated:
		if b.n != v.passed || b.n == 0 {
			w.fail("%v: told of %d obsolete events, %d were passed over", v.link, b.n, v.passed)
		}
		v.conflated, v.passed = v.conflated+b.n, 0
	case kindBye:
		v.farewell = true
		v.farewells++
	case kindNone:
		if b.comment {
			v.comments++
		}
		if !b.opening {
			v.beats = append(v.beats, time.Now())
		}
	}
	if b.id && b.kind != kindResync {
		for _, e := range v.missed(v.pos, to) {
			if !v.superseded(e) {
				w.fail("%v: id passes from %d to %d over the event at %d", v.link, v.pos, to, e.pos)
				break
			}
			v.passed++
		}
	}
	v.pos = to
}

// superseded reports whether e may be skipped because of a newer event.
func (v *viewer) superseded(e *event) bool {
	if e.key == "" || !v.link.latest {
		return false
	}
	for _, x := range v.w.published(e.pos, forever) {
		if x.key == e.key && x.topics&e.topics == e.topics && v.due(x) {
			return true
		}
	}
	return false
}

func (v *viewer) notice(b block, to fanout.Position) {
	w := v.w
	v.resyncs = append(v.resyncs, b)
	missed := v.missed(v.pos, to)
	most, least := len(missed), 0
	for _, e := range missed {
		if !v.superseded(e) {
			least++
		}
	}
	gone := false
	for _, s := range v.spans {
		gone = gone || w.gone(s.topic, max(v.pos, s.from))
	}
	switch {
	case b.reason == fanout.Removed:
		v.removed = true
		if b.id {
			w.fail("%v: its removal has an id", v.link)
		}
		return
	case b.reason == fanout.Lagged && !v.lagging && !gone:
		w.fail("%v: lagged, but was never behind", v.link)
	case b.reason == fanout.Lagged && b.n == 0 && !gone:
		w.fail("%v: lagged with nothing lost", v.link)
	case b.reason != fanout.Lagged && b.reason != v.mustTell && !(b.reason == fanout.Expired && gone):
		w.fail("%v: notice %q, want %q", v.link, b.reason, v.mustTell)
	case !b.id:
		w.fail("%v: notice %q without an id", v.link, b.reason)
	}
	if b.n != 0 && (b.n < least || b.n > most) {
		w.fail("%v: told of %d lost events, %d to %d were in (%d, %d]", v.link, b.n, least, most, v.pos, to)
	}
	if v.newest > to {
		w.fail("%v: notice at %d behind the event at %d", v.link, to, v.newest)
	}
	if v.barrier > to {
		w.fail("%v: notice at %d behind a private frame of %d", v.link, to, v.barrier)
	}
	v.mustTell, v.noticed, v.lagging, v.passed = "", to, false, 0
	w.mu.Lock()
	was := v.pos
	v.pos = to
	v.mayLag() // of what came after
	v.pos = was
	w.mu.Unlock()
}

func (v *viewer) private(n int) {
	at, ok := v.w.barriers[n]
	switch {
	case !ok:
		v.w.fail("%v: private frame %d was never sent", v.link, n)
	case v.newest > at:
		v.w.fail("%v: private frame of %d behind the event at %d", v.link, at, v.newest)
	case v.noticed > at:
		v.w.fail("%v: private frame of %d behind the notice at %d", v.link, at, v.noticed)
	}
	v.barrier = max(v.barrier, at)
	v.privates = append(v.privates, n)
	v.sent++
}

func (v *viewer) event(b block, at fanout.Position) {
	w := v.w
	e := w.byN[b.n]
	switch {
	case e == nil || !b.id || e.pos != at:
		w.fail("%v: event %d under the id of %d", v.link, b.n, at)
		return
	case v.seen[b.n]:
		w.fail("%v: event %d twice", v.link, b.n)
	case at <= v.newest:
		w.fail("%v: event at %d behind the one at %d", v.link, at, v.newest)
	case !v.due(e):
		w.fail("%v: event at %d is not its own", v.link, at)
	case v.barrier >= at:
		w.fail("%v: event at %d behind a private frame of %d", v.link, at, v.barrier)
	}
	v.seen[b.n] = true
	v.newest = max(v.newest, at)
}
