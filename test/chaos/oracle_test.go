package chaos

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// recorded is a run that went well: ten events, of which one client follows all and another one topic 0.
func recorded() evidence {
	e := evidence{acked: make(map[int]uint64), retained: 5}
	all, first := history{topics: allTopics, steps: []step{{}}}, history{topics: 1, steps: []step{{}}}
	for n := 1; n <= 10; n++ {
		r := record{uint64(10 * n), n, 1 << (n % topics)}
		e.records = append(e.records, r)
		if n != 4 { // it was left open
			e.acked[n] = r.position
		}
		all.steps = append(all.steps, step{position: r.position, n: int32(n)})
		if n == 5 {
			all.steps = append(all.steps, step{position: r.position})
		}
		if r.topics&1 != 0 {
			first.steps = append(first.steps, step{position: r.position, n: int32(n)})
		}
	}
	e.histories = []history{all, first}
	return e
}

func TestJudge(t *testing.T) {
	// Steps of the first client: 0 opened, 1 to 5 events, 6 opened, 7 to 11 events 6 to 10.
	for name, tt := range map[string]struct {
		spoil func(e *evidence)
		want  verdict
	}{
		"nothing":                 {func(*evidence) {}, verdict{}},
		"one skipped":             {func(e *evidence) { cut(e, 8, 9) }, verdict{unmarkedGaps: 1}},
		"skipped at a reconnect":  {func(e *evidence) { cut(e, 7, 8) }, verdict{unmarkedGaps: 1}},
		"the first skipped":       {func(e *evidence) { cut(e, 1, 2) }, verdict{unmarkedGaps: 1}},
		"the last skipped":        {func(e *evidence) { cut(e, 11, 12) }, verdict{unmarkedGaps: 1}},
		"nothing seen":            {func(e *evidence) { cut(e, 0, 12) }, verdict{unmarkedGaps: 1}},
		"one repeated":            {func(e *evidence) { put(e, 7, step{position: 50, n: 5}) }, verdict{duplicates: 1}},
		"repeated much later":     {func(e *evidence) { put(e, 12, step{position: 10, n: 1}) }, verdict{duplicates: 1}},
		"resync for nothing":      {func(e *evidence) { put(e, 7, step{50, resynced, 5}) }, verdict{resyncs: 1, needless: 1}},
		"resync over retained":    {func(e *evidence) { cut(e, 7, 12); put(e, 7, step{100, resynced, 10}) }, verdict{resyncs: 1, needless: 1}},
		"resync over trimmed":     {func(e *evidence) { cut(e, 5, 12); put(e, 5, step{100, resynced, 10}) }, verdict{resyncs: 1}},
		"resync of a node behind": {func(e *evidence) { cut(e, 3, 4); put(e, 3, step{30, resynced, 8}) }, verdict{resyncs: 1}},
		"resync, then a gap":      {func(e *evidence) { cut(e, 1, 9); put(e, 1, step{60, resynced, 6}) }, verdict{resyncs: 1, unmarkedGaps: 1}},
		"resync, then older":      {func(e *evidence) { cut(e, 1, 7); put(e, 1, step{70, resynced, 7}) }, verdict{resyncs: 1, duplicates: 2}},
		"an id that says more": {func(e *evidence) {
			cut(e, 1, 6)
			e.histories[0].steps[1].position = 30
			put(e, 2, step{80, resynced, 8})
		}, verdict{resyncs: 1, needless: 1, duplicates: 3}},
		"wrong id":         {func(e *evidence) { e.histories[0].steps[3].position++ }, verdict{strays: 1, unmarkedGaps: 1}},
		"event of another": {func(e *evidence) { put(e, 2, step{position: 15, n: 99}) }, verdict{strays: 1}},
		"topic of another": {func(e *evidence) {
			e.histories[1].steps = slices.Insert(e.histories[1].steps, 1, step{position: 10, n: 1})
		}, verdict{strays: 1}},
		"acknowledged and lost":   {func(e *evidence) { e.acked[11] = 110 }, verdict{unmarkedGaps: 1}},
		"acknowledged elsewhere":  {func(e *evidence) { e.acked[3] = 31 }, verdict{strays: 1}},
		"stored twice":            {func(e *evidence) { again(e, 3) }, verdict{duplicates: 1}},
		"stream out of its order": {func(e *evidence) { e.records[9].position = 5 }, verdict{strays: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			e := recorded()
			tt.spoil(&e)
			got := judge(e)
			switch name {
			case "stored twice", "stream out of its order": // what clients make of it follows from that
				if got.err() == nil || got.duplicates < tt.want.duplicates || got.strays < tt.want.strays {
					t.Errorf("verdict %+v, want %+v at least", got, tt.want)
				}
				return
			}
			tt.want.events, tt.want.clients, tt.want.examples = 10, 2, got.examples
			if fmt.Sprint(*got) != fmt.Sprint(tt.want) {
				t.Errorf("verdict %+v, want %+v", *got, tt.want)
			}
			wrong := tt.want.unmarkedGaps + tt.want.duplicates + tt.want.needless + tt.want.strays
			if (got.err() != nil) != (wrong > 0) {
				t.Errorf("error %v of %+v", got.err(), *got)
			}
			if err := got.err(); err != nil && !strings.Contains(err.Error(), got.examples[0]) {
				t.Errorf("error %v does not tell %q", err, got.examples[0])
			}
		})
	}
}

func cut(e *evidence, from, to int) {
	e.histories[0].steps = slices.Delete(slices.Clone(e.histories[0].steps), from, to)
}

func put(e *evidence, at int, s step) {
	e.histories[0].steps = slices.Insert(slices.Clone(e.histories[0].steps), at, s)
}

func again(e *evidence, n int) {
	r := e.records[n-1]
	r.position = 110
	e.records = append(e.records, r)
}
