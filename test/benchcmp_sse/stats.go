package main

import (
	"cmp"
	"slices"

	"github.com/goceleris/celeris/test/benchkit"
)

// values returns all of a metric's values in a cell: one for each visit, or one for each event.
func (c Cell) values(metric string) []float64 {
	var all []float64
	for _, s := range c.Visits {
		if v, ok := s.Values[metric]; ok {
			all = append(all, v)
		}
		all = append(all, s.Lists[metric]...)
	}
	return all
}

// byRound returns the median of a metric in each round.
func (c Cell) byRound(metric string) map[int]float64 {
	rounds := map[int]float64{}
	for _, s := range c.Visits {
		if v := (Cell{Visits: []Sample{s}}).values(metric); len(v) > 0 {
			rounds[s.Round] = benchkit.Median(v)
		}
	}
	return rounds
}

// ratio compares two cells round by round, so that what changed on the machine between rounds cancels out, and returns
// the median.
func ratio(above, below Cell, metric string) float64 {
	var ratios []float64
	other := below.byRound(metric)
	for round, v := range above.byRound(metric) {
		if w, ok := other[round]; ok && w > 0 {
			ratios = append(ratios, v/w)
		}
	}
	return benchkit.Median(ratios)
}

// best returns the design with the lowest median of a metric among those wanted, the zero design if there is none.
func (r *Result) best(s Scenario, metric string, want func(design) bool) design {
	var candidates []design
	for _, d := range r.Designs {
		if want(d) && len(s.Cells[d.Name].values(metric)) > 0 {
			candidates = append(candidates, d)
		}
	}
	if len(candidates) == 0 {
		return design{}
	}
	return slices.MinFunc(candidates, func(a, b design) int {
		return cmp.Compare(benchkit.Median(s.Cells[a.Name].values(metric)), benchkit.Median(s.Cells[b.Name].values(metric)))
	})
}

func isOurs(d design) bool { return d.Kind == ours }

func isPeer(d design) bool { return d.Kind == peer }

func isFlusher(d design) bool { return d.Kind == peer && d.Flushes }
