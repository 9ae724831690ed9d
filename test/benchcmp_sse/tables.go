package main

import (
	"fmt"
	"strings"

	"github.com/goceleris/celeris/test/benchkit"
)

// table writes a Markdown table with one row for each design that has a figure in it.
func (r *Result) table(b *strings.Builder, head []string, cells func(d design) []string) {
	fmt.Fprintf(b, "| | %s |\n|---|%s\n", strings.Join(head, " | "), strings.Repeat("---:|", len(head)))
	for _, d := range r.Designs {
		row := cells(d)
		if strings.Trim(strings.Join(row, ""), "n/a ") == "" {
			continue
		}
		fmt.Fprintf(b, "| %s | %s |\n", d.Label, strings.Join(row, " | "))
	}
	b.WriteByte('\n')
}

// spread writes a median with the values that 10 % are below and above.
func spread(values []float64, u unit) string {
	if len(values) < 3 {
		return u.write(benchkit.Median(values))
	}
	low, high := benchkit.Figure(benchkit.Quantile(values, 0.1)/u.divisor), benchkit.Figure(benchkit.Quantile(values, 0.9)/u.divisor)
	return fmt.Sprintf("%s (%s–%s)", u.write(benchkit.Median(values)), low, high)
}

// tables writes all figures.
func (r *Result) tables() string {
	var b strings.Builder
	s := r.Settings
	cell := func(scenario string, d design) Cell { return r.scenario(scenario).Cells[d.Name] }
	times := func(v float64) string { return unit{1, "×"}.write(v) }

	fmt.Fprintf(&b, "### CPU per delivered event\n\nServer, user and system, %d streams, %d bytes. The ratio is to C, send.\n\n",
		s.Subs, wireSize)
	r.table(&b, []string{"one at a time", "ratio", "bursts of 10", "bursts of 100", fmt.Sprintf("%d topics", s.Topics), "overload", "client"},
		func(d design) []string {
			return []string{
				spread(cell("single", d).values("cpu"), nanoseconds),
				times(ratio(cell("single", d), r.scenario("single").Cells["c-send"], "cpu")),
				nanoseconds.write(benchkit.Median(cell("burst 10", d).values("cpu"))),
				spread(cell("burst 100", d).values("cpu"), nanoseconds),
				nanoseconds.write(benchkit.Median(cell("topics", d).values("cpu"))),
				nanoseconds.write(benchkit.Median(cell("overload", d).values("cpu"))),
				nanoseconds.write(benchkit.Median(cell("single", d).values("client"))),
			}
		})
	fmt.Fprintf(&b, "### Latency and overload\n\nFrom the time at which an event was due to when the first and the last of %d streams had it. "+
		"Left: one event each %d ms, %d of them. Right: one each millisecond, %d of them, which is more than this machine can send; "+
		"how many times as long as planned the publisher took.\n\n",
		s.Subs, r.latencyInterval().Milliseconds(), r.samples("latency", "last"), r.samples("overload", "last"))
	r.table(&b, []string{"first p50", "first p99", "last p50", "last p99", "overload: last p50", "last p99", "publisher took"},
		func(d design) []string {
			calm, storm := cell("latency", d), cell("overload", d)
			at := func(c Cell, list string, q float64) string {
				return milliseconds.write(benchkit.Quantile(c.values(list), q))
			}
			return []string{
				at(calm, "first", 0.5), at(calm, "first", 0.99), at(calm, "last", 0.5), at(calm, "last", 0.99),
				at(storm, "last", 0.5), at(storm, "last", 0.99), times(benchkit.Median(storm.values("late"))),
			}
		})
	fmt.Fprintf(&b, "### What publish costs its caller\n\nWall time of one call, all streams idle. In C it contains the sending.\n\n")
	r.table(&b, []string{fmt.Sprintf("%d streams", s.Few), fmt.Sprintf("%d streams", s.Subs), fmt.Sprintf("%d streams", s.Many)},
		func(d design) []string {
			return []string{
				spread(cell("publish few", d).values("publish"), microseconds),
				spread(cell("single", d).values("publish"), microseconds),
				spread(cell("publish many", d).values("publish"), microseconds),
			}
		})
	fmt.Fprintf(&b, "### Idle streams\n\n%d of them beside %d that came before, after two collections; memory of the process, without the kernel's.\n\n", s.Idle, s.Warm)
	r.table(&b, []string{"memory", "goroutines", "CPU to accept", "time to accept"}, func(d design) []string {
		c := cell("idle", d)
		return []string{
			bytes.write(benchkit.Median(c.values("rss"))), benchkit.Figure(benchkit.Median(c.values("goroutines"))),
			microseconds.write(benchkit.Median(c.values("connect_cpu"))), microseconds.write(benchkit.Median(c.values("connect_wall"))),
		}
	})
	r.stalledTable(&b)
	r.countsTable(&b)
	return b.String()
}

func (r *Result) stalledTable(b *strings.Builder) {
	s := r.Settings
	fmt.Fprintf(b, "### One in ten doesn't read\n\n%d streams; the buffers of those that don't read were filled with %d MiB first. What the others see.\n\n",
		s.Stall, s.Fill>>20)
	r.table(b, []string{"CPU, all read", "10 % stalled", "ratio", "time to all others, ratio"}, func(d design) []string {
		with, without := r.scenario("stalled").Cells[d.Name+stalledSuffix], r.scenario("stalled").Cells[d.Name]
		row := []string{nanoseconds.write(benchkit.Median(without.values("cpu"))), nanoseconds.write(benchkit.Median(with.values("cpu"))),
			unit{1, "×"}.write(r.stalledEffect(d, "cpu")), unit{1, "×"}.write(r.stalledEffect(d, "round"))}
		if with.Failed != "" {
			row[1], row[2], row[3] = "**stopped**", "", ""
		}
		return row
	})
	for _, d := range r.Designs {
		if f := r.scenario("stalled").Cells[d.Name+stalledSuffix].Failed; f != "" {
			fmt.Fprintf(b, "%s stopped: %s.\n\n", d.Label, f)
		}
	}
}

func (r *Result) countsTable(b *strings.Builder) {
	fmt.Fprintf(b, "### Delivered, lost, repeated\n\nOver the whole run, on streams that are read.\n\n")
	r.table(b, []string{"due", "delivered", "lost", "repeated"}, func(d design) []string {
		c := r.counts(d)
		return []string{fmt.Sprint(c.Due), fmt.Sprint(c.Delivered), fmt.Sprint(c.Due - c.Delivered), fmt.Sprint(c.Duplicates)}
	})
}

// samples is how many values a design has in a scenario, at most.
func (r *Result) samples(scenario, list string) int {
	most := 0
	for _, c := range r.scenario(scenario).Cells {
		most = max(most, len(c.values(list)))
	}
	return most
}
