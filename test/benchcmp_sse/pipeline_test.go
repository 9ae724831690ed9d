package main

import (
	"os"
	"path/filepath"
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
	s := Settings{Subs: 20, Rounds: 2, Visit: time.Millisecond, Idle: 20, Warm: 4, Few: 2, Many: 20, Topics: 5, Stall: 10, Fill: 1 << 17}
	r, err := run(s, benchkit.Client, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	want := len(designs())
	if r.Machine.CC == "" {
		t.Log("NO C COMPILER: the floor is not tested")
	} else {
		want += 2 // the third, io_uring, is not everywhere
	}
	if len(r.Designs) < want {
		t.Errorf("got %d designs, want %d", len(r.Designs), want)
	}
	for _, d := range r.Designs {
		c := r.counts(d)
		if c.Due == 0 || c.Delivered != c.Due || c.Duplicates != 0 {
			t.Errorf("%s: %+v", d.Name, c)
		}
		for _, m := range r.metrics() {
			if d.Kind == floor && strings.HasPrefix(m.scenario, "publish") {
				continue
			}
			if v := r.value(m, d.Name); v != v {
				t.Errorf("%s has no %s (%s, %s): %s", d.Name, m.title, m.scenario, m.name, r.scenario(m.scenario).Cells[d.Name].Failed)
			}
		}
		if d.Kind != floor && r.stalledEffect(d, "cpu") != r.stalledEffect(d, "cpu") {
			t.Errorf("%s: no effect of stalled readers", d.Name)
		}
	}
	if got := r.summary(); r.Machine.CC != "" && strings.Contains(got, "n/a") || !strings.HasPrefix(got, "BENCHCMP_SSE floor_ratio_epoll=") {
		t.Error(got)
	}

	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "docs", "bench"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time in the place of the first
		if err := publishPage(r, root); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Designs {
		if n := strings.Count(string(page), "| "+d.Label+" |"); n < 3 {
			t.Errorf("the page has %q %d times", d.Label, n)
		}
	}
	if n := strings.Count(string(page), r.summary()); n != 1 {
		t.Errorf("the page has the summary %d times", n)
	}
}

// TestPage_IsThatOfTheFigures keeps anybody from editing what is generated, and figures from changing alone.
func TestPage_IsThatOfTheFigures(t *testing.T) {
	r, err := readResult("../../docs/bench/sse.json")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	chart, err := os.ReadFile("../../docs/bench/sse.svg")
	if err != nil {
		t.Fatal(err)
	}
	again, err := replaceSection(string(page), r.section())
	if err != nil || again != string(page) || string(chart) != r.chart() {
		t.Errorf("docs/benchmarks.md and docs/bench/sse.svg are not what docs/bench/sse.json says (%v): "+
			"run go tool mage BenchcmpSSE, or this module's program with \"../.. render\"", err)
	}
}
