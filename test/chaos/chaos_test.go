package chaos

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/goceleris/celeris/internal/testserver"
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

// number is that of a variable of the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestChaos is the whole; the environment makes it as large as go tool mage Chaos does.
func TestChaos(t *testing.T) {
	events := number(t, "CHAOS_EVENTS", 3000)
	cfg := config{
		seed: seed(t), events: events, clients: number(t, "CHAOS_CLIENTS", 21), nodes: 3, publishers: 6,
		faults: max(int(faultKinds), events/1500), maxLen: min(events/2, 20_000), mean: 16 << 10, sleepers: 3,
		mutant: os.Getenv("CHAOS_MUTANT"), log: t.Output(),
	}
	redis := testserver.Redis(t, testserver.RedisDurable()...)
	truth, err := newFollower(redis.Addr, cfg.maxLen)
	if err != nil {
		t.Fatal(err)
	}
	defer truth.client.Close()
	r, err := run(t.Context(), cfg, redis.Addr, redis, newLedger(events), truth)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d cuts, %d publishes refused, %d left open", r.cuts, r.refused, r.opened)
	lastLine = r.String()
	if err := r.err(); err != nil {
		t.Errorf("CHAOS_SEED=%d: %v", cfg.seed, err)
	}
	if r.events < events || r.cuts < r.clients || r.restarts < cfg.faults/2 || events >= 20_000 && r.resyncs == 0 {
		t.Errorf("%v and %d cuts: that was no test", r, r.cuts)
	}
}

// TestCuts cuts the clients of one process, which forgets nothing.
func TestCuts(t *testing.T) {
	r, err := runCuts(t, "")
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

func runCuts(t *testing.T, mutant string) (*result, error) {
	t.Helper()
	cfg := config{
		seed: seed(t), events: 1000, clients: 14, nodes: 1, publishers: 4, maxLen: 1 << 20, mean: 8 << 10, mutant: mutant,
		log: t.Output(),
	}
	l := newLedger(cfg.events)
	return run(t.Context(), cfg, inMemory, nil, l, acknowledged{l})
}

// TestCuts_MutantsAreCaught lets servers go wrong.
func TestCuts_MutantsAreCaught(t *testing.T) {
	for _, kind := range []string{"resync", "skip", "repeat"} {
		t.Run(kind, func(t *testing.T) {
			r, err := runCuts(t, kind)
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
