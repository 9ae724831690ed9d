package sim_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/goceleris/celeris/engine/enginetest"
	"github.com/goceleris/celeris/engine/sim"
	"github.com/goceleris/celeris/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestEngine(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) enginetest.Rig { return enginetest.Parked(t, sim.New()) })
}

// TestModel plays random schedules; ENGINE_SCHEDULES in the environment says how many.
func TestModel(t *testing.T) {
	schedules := 1200
	if raceEnabled || testing.Short() {
		schedules = 60
	}
	if n, err := strconv.Atoi(os.Getenv("ENGINE_SCHEDULES")); err == nil {
		schedules = n
	}
	enginetest.Model(t, func(t testing.TB) enginetest.Rig { return enginetest.Parked(t, sim.New()) }, schedules)
}
