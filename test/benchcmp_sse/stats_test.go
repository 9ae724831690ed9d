package main

import (
	"math"
	"strings"
	"testing"

	"github.com/goceleris/celeris/test/benchkit"
)

func visits(name string, values ...float64) []Sample {
	var all []Sample
	for i, v := range values {
		all = append(all, Sample{Round: i, Values: map[string]float64{name: v}})
	}
	return all
}

func TestQuantile(t *testing.T) {
	for _, row := range []struct {
		values  []float64
		q, want float64
	}{
		{[]float64{3}, 0.9, 3},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{5, 1, 2, 4, 3}, 0.5, 3},
		{[]float64{0, 10}, 0.99, 9.9},
	} {
		if got := benchkit.Quantile(row.values, row.q); math.Abs(got-row.want) > 1e-9 {
			t.Errorf("benchkit.Quantile(%v, %v) = %v, want %v", row.values, row.q, got, row.want)
		}
	}
	if got := benchkit.Quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("of nothing: %v", got)
	}
}

func TestRatio_IsThatWithinARound(t *testing.T) {
	// The machine is ten times slower in the second round: the ratio of medians would be 3/5.5.
	above, below := Cell{Visits: visits("cpu", 2, 20, 3)}, Cell{Visits: visits("cpu", 1, 10)}
	if got := ratio(above, below, "cpu"); got != 2 {
		t.Errorf("got %v, want 2", got)
	}
	if got := ratio(above, Cell{}, "cpu"); !math.IsNaN(got) {
		t.Errorf("with nothing: %v", got)
	}
}

// TestLosses_ListEverybodyWhoIsBetter has one figure in which a peer leads, one in which the floor does, and one that we win.
func TestLosses_ListEverybodyWhoIsBetter(t *testing.T) {
	r := &Result{
		Settings: Settings{Subs: 1000, Few: 10, Many: 10_000, Topics: 100},
		Designs: []design{{Name: "us", Label: "Us", Kind: ours}, {Name: "peer", Label: "Peer", Kind: peer},
			{Name: "c", Label: "C", Kind: floor}},
		Scenarios: []Scenario{
			{Name: "single", Cells: map[string]Cell{"us": {Visits: visits("cpu", 300)}, "peer": {Visits: visits("cpu", 290)},
				"c": {Visits: visits("cpu", 100)}}},
			{Name: "burst 100", Cells: map[string]Cell{"us": {Visits: visits("cpu", 5)}, "peer": {Visits: visits("cpu", 900)}}},
		},
	}
	got := strings.Join(r.losses(), "\n")
	want := "| CPU per event, one at a time | Us | 300 ns | Peer 290 ns (1.03×, near) | C 100 ns (3×) |"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSummary_SaysWhatIsMissing has no compiler, and then nothing at all.
func TestSummary_SaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if d, err := floors(t.TempDir()); err == nil || len(d) > 0 || !strings.Contains(err.Error(), "no C compiler") {
		t.Errorf("got %v, %v without a compiler", d, err)
	}
	for key := range strings.FieldsSeq(strings.TrimPrefix(new(Result).summary(), "BENCHCMP_SSE")) {
		if name, value, ok := strings.Cut(key, "="); !ok || value != "n/a" {
			t.Errorf("%s is %q", name, value)
		}
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 2: "2", 1234.5: "1234", 12.34: "12.3", 1.234: "1.23", 0.00123: "0.0012", math.Inf(1): "n/a"} {
		if got := benchkit.Figure(v); got != want {
			t.Errorf("benchkit.Figure(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestReplaceSection(t *testing.T) {
	page := "# Page\n\n" + pageBegin + "old\n" + pageEnd + "\nmore\n"
	want := "# Page\n\n" + pageBegin + "new\n" + pageEnd + "\nmore\n"
	if got, err := replaceSection(page, "new\n"); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := replaceSection(pageBegin, "new\n"); err == nil {
		t.Error("a section without an end was replaced")
	}
}
