package main

import (
	"fmt"

	"github.com/goceleris/celeris/test/benchkit"
)

// metric is one figure that designs are compared by; less is better.
type metric struct {
	title    string
	scenario string
	name     string
	q        float64 // which quantile
	unit     unit
}

// unit is how a figure is written.
type unit struct {
	divisor float64
	suffix  string
}

var (
	nanoseconds  = unit{1, "ns"}
	microseconds = unit{1000, "µs"}
	milliseconds = unit{1e6, "ms"}
	plain        = unit{1, ""}
	bytes        = unit{1, "B"}
)

func (u unit) write(v float64) string {
	text := benchkit.Figure(v / u.divisor)
	if text == "n/a" || u.suffix == "" {
		return text
	}
	return text + " " + u.suffix
}

// metrics are all that "where we lose" looks at, and the columns of the tables.
func (r *Result) metrics() []metric {
	s := r.Settings
	return []metric{
		{"CPU per event, one at a time", "single", "cpu", 0.5, nanoseconds},
		{"CPU per event, bursts of 10", "burst 10", "cpu", 0.5, nanoseconds},
		{"CPU per event, bursts of 100", "burst 100", "cpu", 0.5, nanoseconds},
		{fmt.Sprintf("CPU per event, %d topics", s.Topics), "topics", "cpu", 0.5, nanoseconds},
		{"CPU per event, overload", "overload", "cpu", 0.5, nanoseconds},
		{"latency to the first, p50", "latency", "first", 0.5, milliseconds},
		{"latency to the first, p99", "latency", "first", 0.99, milliseconds},
		{"latency to the last, p50", "latency", "last", 0.5, milliseconds},
		{"latency to the last, p99", "latency", "last", 0.99, milliseconds},
		{"overload: latency to the last, p50", "overload", "last", 0.5, milliseconds},
		{"overload: latency to the last, p99", "overload", "last", 0.99, milliseconds},
		{"overload: time the publisher took", "overload", "late", 0.5, unit{1, "×"}},
		{fmt.Sprintf("publish, %d streams", s.Few), "publish few", "publish", 0.5, microseconds},
		{fmt.Sprintf("publish, %d streams", s.Subs), "single", "publish", 0.5, microseconds},
		{fmt.Sprintf("publish, %d streams", s.Many), "publish many", "publish", 0.5, microseconds},
		{"memory per idle stream", "idle", "rss", 0.5, bytes},
		{"goroutines per idle stream", "idle", "goroutines", 0.5, plain},
		{"CPU to accept a stream", "idle", "connect_cpu", 0.5, microseconds},
		{"time to accept a stream", "idle", "connect_wall", 0.5, microseconds},
	}
}

// value returns the figure for a design; not a number if there is none.
func (r *Result) value(m metric, design string) float64 {
	return benchkit.Quantile(r.scenario(m.scenario).Cells[design].values(m.name), m.q)
}
