package property

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

const seedVariable = "CELERIS_PROPERTY_SEED"

// seeds returns the seed that is asked for, or one that is always the same and one that never is.
func seeds(t *testing.T) []uint64 {
	t.Helper()
	v := os.Getenv(seedVariable)
	if v == "" {
		return []uint64{1, uint64(rand.Uint32())}
	}
	seed, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", seedVariable, err)
	}
	return []uint64{seed}
}

func TestStreams_ResumeWithoutGapOrRepetition(t *testing.T) {
	s := scale{
		events: 50_000, clients: 50, history: 512, batch: 128, reach: 12_000, far: 0.1, limit: 2 * time.Minute,
	}
	cuts, outside, inside := 1000, 50, 500
	if testing.Short() {
		s.events, cuts, outside, inside = 10_000, 150, 5, 75
	}
	for _, seed := range seeds(t) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			for _, s.engine = range kinds {
				t.Run(string(s.engine), func(t *testing.T) {
					need(t, s.engine)
					o := play(t, seed, s)
					t.Logf("seed %d: %d events published, %d of them waited for passes, %v\n%v",
						seed, o.published, o.throttled, o.took, o.tally)
					for _, v := range o.violations {
						t.Error(v)
					}
					if o.published != int64(s.events) {
						t.Errorf("the broker counts %d published events, want %d", o.published, s.events)
					}
					if o.cuts < cuts || o.outside < outside || o.inside < inside {
						t.Errorf("%d cuts, %d resumes outside and %d inside the history, want at least %d, %d and %d: this shows too little",
							o.cuts, o.outside, o.inside, cuts, outside, inside)
					}
					if t.Failed() {
						t.Logf("run it again: %s=%d go test -race -run '%s' ./test/property", seedVariable, seed, t.Name())
					}
				})
			}
		})
	}
}
