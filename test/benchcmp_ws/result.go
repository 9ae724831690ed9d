package main

import (
	"cmp"
	"encoding/json"
	"os"
	"slices"
	"time"

	"github.com/goceleris/celeris/test/benchkit"
)

// Result is everything that a run has measured.
type Result struct {
	When      time.Time  `json:"when"`
	Settings  Settings   `json:"settings"`
	Designs   []design   `json:"designs"`
	Notes     []string   `json:"notes,omitempty"` // what could not be measured, and why
	Scenarios []Scenario `json:"scenarios"`
}

// Settings are the sizes of a run.
type Settings struct {
	Few, Subs, Many int           // clients
	Rooms           int           // of ten clients each
	Rounds          int           `json:"rounds"`
	Visit           time.Duration `json:"visit_ns"` // how long one visit goes on, at least
}

// Scenario is one set of conditions, with what each design made of it.
type Scenario struct {
	Name  string          `json:"name"`
	Cells map[string]Cell `json:"cells"` // by design
}

// Cell is what one design made of one scenario.
type Cell struct {
	Failed string   `json:"failed,omitempty"`
	Counts Counts   `json:"counts"`
	Visits []Sample `json:"visits"`
}

// Counts is what became of the messages.
type Counts struct {
	Due        int64 `json:"due"`
	Delivered  int64 `json:"delivered"`
	Duplicates int64 `json:"duplicates"`
}

// Sample is one visit.
type Sample struct {
	Round  int                `json:"round"`
	Values map[string]float64 `json:"values"`
}

// cells returns those of a scenario, which is new if there was none of that name.
func (r *Result) cells(scenario string) map[string]Cell {
	for _, s := range r.Scenarios {
		if s.Name == scenario {
			return s.Cells
		}
	}
	s := Scenario{Name: scenario, Cells: map[string]Cell{}}
	r.Scenarios = append(r.Scenarios, s)
	return s.Cells
}

// value returns the median of a metric; not a number if there is none.
func (r *Result) value(scenario, design, metric string) float64 {
	var values []float64
	for _, s := range r.cells(scenario)[design].Visits {
		if v, ok := s.Values[metric]; ok {
			values = append(values, v)
		}
	}
	return benchkit.Median(values)
}

// ratio compares two designs round by round, so that what changed on the machine between rounds cancels out, and returns
// the median.
func (r *Result) ratio(scenario, above, below, metric string) float64 {
	rounds := map[int]float64{}
	for _, s := range r.cells(scenario)[below].Visits {
		rounds[s.Round] = s.Values[metric]
	}
	var ratios []float64
	for _, s := range r.cells(scenario)[above].Visits {
		if v := rounds[s.Round]; v > 0 {
			ratios = append(ratios, s.Values[metric]/v)
		}
	}
	return benchkit.Median(ratios)
}

// best returns the design of a kind with the lowest median of a metric, "" if there is none.
func (r *Result) best(scenario string, k kind, metric string) string {
	var candidates []design
	for _, d := range r.Designs {
		if v := r.value(scenario, d.Name, metric); d.Kind == k && v == v {
			candidates = append(candidates, d)
		}
	}
	if len(candidates) == 0 {
		return ""
	}
	return slices.MinFunc(candidates, func(a, b design) int {
		return cmp.Compare(r.value(scenario, a.Name, metric), r.value(scenario, b.Name, metric))
	}).Name
}

// counts sums a design's counts over all scenarios.
func (r *Result) counts(design string) Counts {
	var sum Counts
	for _, s := range r.Scenarios {
		c := s.Cells[design].Counts
		sum.Due += c.Due
		sum.Delivered += c.Delivered
		sum.Duplicates += c.Duplicates
	}
	return sum
}

func (r *Result) write(path string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
