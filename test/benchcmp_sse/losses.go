package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/goceleris/celeris/test/benchkit"
)

// near is below which a lead means little: two processes with the same code have differed by as much.
const near = 1.15

// losses lists every figure in which a peer or the floor is better than one of our engines, as a table's rows.
func (r *Result) losses() []string {
	var rows []string
	row := func(title string, us design, value float64, u unit, better []rival) {
		if len(better) == 0 {
			return
		}
		slices.SortFunc(better, func(a, b rival) int { return cmp.Compare(a.value, b.value) })
		names := map[kind][]string{}
		for _, b := range better {
			names[b.Kind] = append(names[b.Kind], b.write(value, u))
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s | %s |", title, us.Label, u.write(value),
			strings.Join(names[peer], "; "), strings.Join(names[floor], "; ")))
	}
	for _, m := range r.metrics() {
		for _, us := range r.Designs {
			if us.Kind == ours {
				value := r.value(m, us.Name)
				row(m.title, us, value, m.unit, r.rivals(value, func(d design) float64 { return r.value(m, d.Name) }))
			}
		}
	}
	for _, metric := range []string{"cpu", "round"} {
		title := map[string]string{"cpu": "10 % stalled: CPU for the others", "round": "10 % stalled: time to all others"}[metric]
		for _, us := range r.Designs {
			if us.Kind == ours {
				effect := r.stalledEffect(us, metric)
				row(title, us, effect, unit{1, "×"}, r.rivals(effect, func(d design) float64 { return r.stalledEffect(d, metric) }))
			}
		}
	}
	for _, us := range r.Designs {
		if us.Kind == ours {
			lost := r.lost(us)
			row("events that were not delivered", us, lost, unit{1, "%"}, r.rivals(lost, r.lost))
		}
	}
	return rows
}

// rival is somebody who does better.
type rival struct {
	design
	value float64
}

func (b rival) write(ours float64, u unit) string {
	text := fmt.Sprintf("%s %s", b.Label, u.write(b.value))
	switch {
	case b.value <= 0:
		return text
	case ours/b.value < near:
		return fmt.Sprintf("%s (%s×, near)", text, benchkit.Figure(ours/b.value))
	}
	return fmt.Sprintf("%s (%s×)", text, benchkit.Figure(ours/b.value))
}

// rivals returns the others that are below value.
func (r *Result) rivals(value float64, of func(design) float64) []rival {
	var better []rival
	for _, d := range r.Designs {
		if v := of(d); d.Kind != ours && v < value {
			better = append(better, rival{d, v})
		}
	}
	return better
}

// stalledEffect is how much worse the others fare when one in ten doesn't read.
func (r *Result) stalledEffect(d design, metric string) float64 {
	s := r.scenario("stalled")
	if s.Cells[d.Name+stalledSuffix].Failed != "" {
		return benchkit.Nothing
	}
	return ratio(s.Cells[d.Name+stalledSuffix], s.Cells[d.Name], metric)
}

// lost is how much of what was due did not arrive, in percent.
func (r *Result) lost(d design) float64 {
	c := r.counts(d)
	if c.Due == 0 {
		return benchkit.Nothing
	}
	return 100 * float64(c.Due-c.Delivered) / float64(c.Due)
}
