package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris/test/benchkit"
)

// TestMain lets the test's binary be the parts of the benchmark too.
func TestMain(m *testing.M) {
	if ok, err := benchkit.Part(part); ok {
		exit(err)
		return
	}
	// With the race detector every process would sleep a second at its end.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		exit(err)
	}
	os.Exit(m.Run())
}

func TestRun_MeasuresEveryDesignInEveryScenario(t *testing.T) {
	s := Settings{Few: 5, Subs: 20, Many: 30, Rooms: 3, Rounds: 2, Visit: time.Millisecond}
	r, err := run(s, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	bottom := false
	for _, d := range r.Designs {
		bottom = bottom || d.Kind == floor
		for _, c := range columns {
			if c.scenario == deflated && !d.packs {
				continue
			}
			if v := r.value(c.scenario, d.Name, c.metric); v != v {
				t.Errorf("%s has no %q: %s", d.Name, c.title, r.cells(c.scenario)[d.Name].Failed)
			}
		}
		for _, s := range r.Scenarios {
			if c := s.Cells[d.Name].Counts; c.Delivered != c.Due || c.Duplicates != 0 {
				t.Errorf("%s, %s: %+v", d.Name, s.Name, c)
			}
		}
	}
	for _, d := range designs() {
		if !strings.Contains(r.table(), "| "+d.Label+" |") {
			t.Errorf("the table lacks %s", d.Label)
		}
	}
	if got := r.summary(); !strings.HasPrefix(got, "BENCHCMP_WS floor_ratio=") || bottom && strings.Contains(got, "n/a") {
		t.Error(got)
	}
	if !bottom {
		t.Log("NO C COMPILER: the floor is not tested")
	}
}
