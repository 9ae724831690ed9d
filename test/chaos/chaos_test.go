package chaos

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"
)

// seed is CHAOS_SEED or another one each time.
func seed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("CHAOS_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	t.Logf("CHAOS_SEED=%d", seed)
	return seed
}

// acknowledged takes what was acknowledged for the truth.
func acknowledged(_ context.Context, l *ledger) ([]record, int, error) {
	return l.records(), l.events, nil
}

// TestCuts cuts the clients of one process, which forgets nothing.
func TestCuts(t *testing.T) {
	r, err := run(t.Context(), cuts(t, ""), inMemory, nil, acknowledged)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v; %d cuts", r, r.cuts)
	if err := r.err(); err != nil {
		t.Error(err)
	}
	if r.events != 1000 || r.resyncs != 0 || r.cuts < r.clients {
		t.Errorf("%v and %d cuts: that was no test", r, r.cuts)
	}
}

func cuts(t *testing.T, mutant string) config {
	t.Helper()
	return config{seed: seed(t), events: 1000, clients: 14, nodes: 1, publishers: 4, mean: 8 << 10, mutant: mutant, log: t.Output()}
}

// TestCuts_MutantsAreCaught lets servers go wrong.
func TestCuts_MutantsAreCaught(t *testing.T) {
	for _, kind := range []string{"resync", "skip", "repeat"} {
		t.Run(kind, func(t *testing.T) {
			r, err := run(t.Context(), cuts(t, kind), inMemory, nil, acknowledged)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%v; %d mutations: %.500v", r, r.mutations, r.err())
			caught := map[string]int{"resync": r.needless, "skip": r.unmarkedGaps, "repeat": r.duplicates}[kind]
			if r.mutations == 0 || caught == 0 || r.err() == nil {
				t.Errorf("%d mutations, %d were caught", r.mutations, caught)
			}
		})
	}
}
