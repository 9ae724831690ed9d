//go:build linux

package sockets

import (
	"slices"
	"strings"
	"testing"

	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/middleware/sse"
)

// story is a small run whose every detail is known: twenty events, each published when the one before was out, the odd
// positions to topic a, the even ones to topic b.
func story() *records {
	r := &records{history: 100, epoch: "E"}
	for n := range 20 {
		e := r.add(1<<(n%2), string(rune('k'+n%4)))
		e.pos = fanout.Position(n + 1)
		e.call = r.time(func() {})
		r.n.Add(2) // room for a call
	}
	r.seal()
	return r
}

func id(p int) string { return string(fanout.AppendID(nil, "E", fanout.Position(p))) }

// tick is a call between the events at p and p+1.
func (r *records) tick(p int) call {
	at := r.order[p-1].over
	return call{at + 1, at + 2}
}

func (r *records) block(p int) block { return block{id: id(p), data: payload(r.order[p-1])} }

// ofA is what a client of topic a gets that comes at position 0.
func (r *records) ofA() []block {
	list := []block{{id: id(0), retry: true}}
	for p := 1; p <= 20; p += 2 {
		list = append(list, r.block(p))
	}
	return list
}

func TestOracle(t *testing.T) {
	notice := func(p, n int, reason string) block {
		return block{id: id(p), event: "resync", data: `{"dropped":` + strings.Repeat("1", n) + `,"reason":"` + reason + `"}`}
	}
	one := func(p int) block { return notice(p, 1, "lagged") } // a loss of one event
	for _, tt := range []struct {
		name   string
		policy sse.BrokerPolicy
		fast   bool
		change func(r *records, v *visit)
		wrong  string // part of what the oracle objects; "" for nothing
	}{
		{"all is well", 0, true, func(*records, *visit) {}, ""},
		{"a beat", 0, true, func(_ *records, v *visit) {
			v.blocks = slices.Insert(v.blocks, 3, block{id: id(4)}, block{comment: true})
		}, ""},
		{"a resume", 0, true, func(_ *records, v *visit) { v.from, v.blocks = id(5), append([]block{{id: id(5)}}, v.blocks[4:]...) }, "was at"},
		{"an event is missing", 0, true, func(_ *records, v *visit) { v.blocks = slices.Delete(v.blocks, 4, 5) }, "is missing"},
		{"an event is missing for a slow reader", 0, false, func(_ *records, v *visit) { v.blocks = slices.Delete(v.blocks, 4, 5) }, "is missing"},
		{"an event twice", 0, true, func(_ *records, v *visit) { v.blocks = slices.Insert(v.blocks, 4, v.blocks[3]) }, "twice"},
		{"out of order", 0, true, func(_ *records, v *visit) { v.blocks[4], v.blocks[5] = v.blocks[5], v.blocks[4] }, "missing"},
		{"somebody else's", 0, true, func(r *records, v *visit) { v.blocks = slices.Insert(v.blocks, 4, r.block(6)) }, "not its own"},
		{"torn", 0, true, func(_ *records, v *visit) { v.blocks[4].data = v.blocks[4].data[1:] }, "never published"},
		{"another id", 0, true, func(_ *records, v *visit) { v.blocks[4].id = id(8) }, "was published as"},
		{"without an id", 0, true, func(_ *records, v *visit) { v.blocks[4].id = "" }, "never published"},
		{"another epoch", 0, true, func(_ *records, v *visit) { v.blocks[4].id = "F-7" }, "id"},
		{"an id passes", 0, true, func(_ *records, v *visit) { v.blocks[4] = block{id: id(8)} }, "is missing"},
		{"an id goes back", 0, true, func(_ *records, v *visit) { v.blocks = slices.Insert(v.blocks, 4, block{id: id(2)}) }, "goes back"},
		{"behind the farewell", 0, true, func(_ *records, v *visit) { v.blocks = slices.Insert(v.blocks, 4, block{event: "farewell"}) }, "behind the farewell"},

		{"a loss is told", 0, false, func(_ *records, v *visit) { v.blocks[4] = one(8) }, ""},
		{"to who keeps up", 0, true, func(_ *records, v *visit) { v.blocks[4] = one(8) }, "keeps up"},
		{"under another policy", sse.BrokerPolicyCatchUp, false, func(_ *records, v *visit) { v.blocks[4] = one(8) }, "has everything"},
		{"with a wrong count", 0, false, func(_ *records, v *visit) { v.blocks[4] = notice(8, 2, "lagged") }, "were skipped"},
		{"without a count", 0, false, func(_ *records, v *visit) {
			v.blocks[4].event, v.blocks[4].data = "resync", `{"dropped":0,"reason":"lagged"}`
		}, "were skipped"},
		{"for another reason", 0, false, func(_ *records, v *visit) { v.blocks[4] = notice(8, 1, "expired") }, "has everything"},
		{"without an id for it", 0, false, func(_ *records, v *visit) { v.blocks[4] = one(8); v.blocks[4].id = "" }, "without an id"},

		{"obsolete", sse.BrokerPolicyLatest, false, func(_ *records, v *visit) {
			v.blocks[4] = block{event: "conflated", data: `{"skipped":1}`}
			v.blocks[4], v.blocks[5] = v.blocks[5], v.blocks[4]
		}, ""},
		{"obsolete and not told", sse.BrokerPolicyLatest, false, func(_ *records, v *visit) {
			v.blocks[4] = block{event: "conflated", data: `{"skipped":2}`}
			v.blocks[4], v.blocks[5] = v.blocks[5], v.blocks[4]
		}, "passed over"},
		{"the newest of its key is no more obsolete", sse.BrokerPolicyLatest, false, func(_ *records, v *visit) { v.blocks[10] = block{id: id(20)} }, "is missing"},

		{"a join", 0, true, func(r *records, v *visit) {
			v.moves = []move{{r.tick(9), 1, true}}
			v.blocks = v.blocks[:6]
			for p := 10; p <= 20; p++ {
				v.blocks = append(v.blocks, r.block(p))
			}
		}, ""},
		{"a join that came too early", 0, true, func(r *records, v *visit) {
			v.moves = []move{{r.tick(9), 1, true}}
			v.blocks = v.blocks[:4]
			for p := 6; p <= 20; p++ {
				v.blocks = append(v.blocks, r.block(p))
			}
		}, "not its own"},
		{"a join that came too late", 0, true, func(r *records, v *visit) { v.moves = []move{{r.tick(9), 1, true}} }, "is missing"},
		{"a join that overlaps", 0, true, func(r *records, v *visit) {
			v.moves = []move{{call{r.order[3].began, r.order[13].over}, 1, true}}
			v.blocks = v.blocks[:6]
			for p := 10; p <= 20; p++ {
				v.blocks = append(v.blocks, r.block(p))
			}
		}, ""},
		{"a join that overlaps and has a hole", 0, true, func(r *records, v *visit) {
			v.moves = []move{{call{r.order[3].began, r.order[13].over}, 1, true}}
			v.blocks = slices.Insert(v.blocks, 4, r.block(6))
		}, "is missing"},
		{"a leave", 0, true, func(r *records, v *visit) {
			v.moves = []move{{r.tick(9), 0, false}}
			v.blocks = v.blocks[:6]
		}, ""},
		{"a leave that is ignored", 0, true, func(r *records, v *visit) { v.moves = []move{{r.tick(9), 0, false}} }, "not its own"},

		{"a private event", 0, true, func(r *records, v *visit) {
			v.sends = []sent{{r.tick(9), 7}}
			v.blocks = slices.Insert(v.blocks, 6, block{event: "private", data: "7"})
		}, ""},
		{"a private event too early", 0, true, func(r *records, v *visit) {
			v.sends = []sent{{r.tick(9), 7}}
			v.blocks = slices.Insert(v.blocks, 5, block{event: "private", data: "7"})
		}, "behind a private one"},
		{"a private event too late", 0, true, func(r *records, v *visit) {
			v.sends = []sent{{r.tick(9), 7}}
			v.blocks = slices.Insert(v.blocks, 7, block{event: "private", data: "7"})
		}, "behind an event"},
		{"a private event is missing", 0, true, func(r *records, v *visit) { v.sends = []sent{{r.tick(9), 7}} }, "private events came"},

		{"behind its removal", sse.BrokerPolicyRemove, false, func(_ *records, v *visit) {
			v.blocks = slices.Insert(v.blocks, 4, block{event: "resync", data: `{"dropped":3,"reason":"removed"}`})
		}, "behind its removal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := story()
			v := &visit{opened: call{-1, 0}, topics: 1, blocks: r.ofA()}
			tt.change(r, v)
			j := &judge{records: r, name: "client", policy: tt.policy, slow: !tt.fast}
			j.visit(v)
			switch {
			case tt.wrong == "" && len(j.wrong) > 0:
				t.Errorf("objects to what is right: %q", j.wrong)
			case tt.wrong != "" && !strings.Contains(strings.Join(j.wrong, "\n"), tt.wrong):
				t.Errorf("says %q, want %q", j.wrong, tt.wrong)
			}
		})
	}
}
