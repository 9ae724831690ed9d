package property

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// mutation makes, for one stream, a function that changes its blocks. from is the id that the stream resumes from.
type mutation func(rng *rand.Rand, from string) func(block []byte) []byte

// mutated is a stream whose blocks are changed before the client sees them.
type mutated struct {
	wire
	change func(block []byte) []byte
	in     []byte // the beginning of a block
	out    []byte // changed and not read yet
	err    error
}

// Read implements [io.Reader].
func (m *mutated) Read(p []byte) (int, error) {
	for len(m.out) == 0 {
		if m.err != nil {
			return 0, m.err
		}
		var n int
		n, m.err = m.wire.Read(p)
		m.in = append(m.in, p[:n]...)
		for {
			i := bytes.Index(m.in, []byte("\n\n"))
			if i < 0 {
				break
			}
			m.out = append(m.out, m.change(bytes.Clone(m.in[:i+2]))...)
			m.in = m.in[i+2:]
		}
	}
	n := copy(p, m.out)
	m.out = m.out[n:]
	return n, nil
}

func isResync(block []byte) bool { return bytes.Contains(block, []byte("event: resync\n")) }

func isEvent(block []byte) bool { return bytes.Contains(block, []byte("data: ")) && !isResync(block) }

// onlyID keeps nothing of a block but its id.
func onlyID(block []byte) []byte {
	for line := range bytes.Lines(block) {
		if bytes.HasPrefix(line, []byte("id: ")) {
			return append(line, '\n')
		}
	}
	return nil
}

// one changes one event of each stream, among the first of them.
func one(change func(block []byte) []byte) mutation {
	return func(rng *rand.Rand, _ string) func([]byte) []byte {
		n := rng.IntN(10)
		return func(block []byte) []byte {
			if isEvent(block) {
				if n--; n == -1 {
					return change(block)
				}
			}
			return block
		}
	}
}

// resyncs changes every resync event.
func resyncs(change func(block []byte) []byte) mutation {
	return func(*rand.Rand, string) func([]byte) []byte {
		return func(block []byte) []byte {
			if isResync(block) {
				return change(block)
			}
			return block
		}
	}
}

func twice(block []byte) []byte { return bytes.Repeat(block, 2) }

// swap sends one event of each stream behind the next.
func swap(rng *rand.Rand, _ string) func([]byte) []byte {
	var held []byte
	hold := one(func(block []byte) []byte { held = block; return nil })(rng, "")
	return func(block []byte) []byte {
		if held != nil && isEvent(block) {
			block, held = append(block, held...), nil
			return block
		}
		return hold(block)
	}
}

// alwaysResync tells of a loss on every resume, in front of events that are complete.
func alwaysResync(_ *rand.Rand, from string) func([]byte) []byte {
	first := from != ""
	return func(block []byte) []byte {
		if !first {
			return block
		}
		first = false
		return append(block, "id: "+from+"\nevent: resync\ndata: {\"dropped\":0,\"reason\":\"expired\"}\n\n"...)
	}
}

// shiftIDs gives every event the id of the one before.
func shiftIDs(*rand.Rand, string) func([]byte) []byte {
	var last []byte
	return func(block []byte) []byte {
		id := onlyID(block)
		if last != nil && isEvent(block) && id != nil {
			block = bytes.Replace(block, bytes.TrimSuffix(id, []byte("\n")), bytes.TrimSuffix(last, []byte("\n")), 1)
		}
		last = id
		return block
	}
}

func TestOracle_ReportsMutants(t *testing.T) {
	for name, mutant := range map[string]struct {
		mutate mutation
		says   string // of the first violation; "" for none
	}{
		"leaves everything as it is": {one(func(block []byte) []byte { return block }), ""},
		"skips an event":             {one(func([]byte) []byte { return nil }), "missing before"},
		"repeats an event":           {one(twice), "was repeated"},
		"swaps two events":           {swap, "missing before"},
		"passes an id over a hole":   {one(onlyID), "passes 1 events"},
		"alters an event": {one(func(block []byte) []byte {
			return append(bytes.TrimSuffix(block, []byte("\n\n")), "0\n\n"...)
		}), "strange"},
		"resyncs on every resume": {alwaysResync, "was retained"},
		"resyncs twice":           {resyncs(twice), "resync number 2"},
		"hides a resync":          {resyncs(onlyID), "passes"},
		"miscounts a loss": {resyncs(func(block []byte) []byte {
			return bytes.Replace(block, []byte(`"dropped":`), []byte(`"dropped":7`), 1)
		}), "events were lost"},
		"gives events the ids of others": {shiftIDs, "came with id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := play(t, 1, scale{
				events: 3000, clients: 6, history: 64, batch: 16, reach: 2500, far: 0.2,
				limit: 30 * time.Second, mutate: mutant.mutate,
			})
			if mutant.says == "" {
				if len(o.violations) > 0 {
					t.Errorf("the oracle reports %q", o.violations)
				}
				if o.cuts < 20 || o.outside < 2 {
					t.Errorf("the run shows nothing: %v", o.tally)
				}
				return
			}
			if len(o.violations) == 0 {
				t.Fatalf("the oracle reports nothing: %v", o.tally)
			}
			if got := o.violations[0]; !strings.Contains(got, mutant.says) {
				t.Errorf("the oracle reports %q, want %q", got, mutant.says)
			}
		})
	}
}
