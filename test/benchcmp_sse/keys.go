package main

import (
	"fmt"
	"strings"

	"github.com/goceleris/celeris/test/benchkit"
)

// parked is the design that our figures are about where one has to be named: what a server on Linux runs on.
const parked = "celeris-epoll"

// summary is the line of key figures, which ends a run.
func (r *Result) summary() string {
	single, burst, overload := r.scenario("single"), r.scenario("burst 100"), r.scenario("overload")
	idle, stalled := r.scenario("idle"), r.scenario("stalled")
	bestSingle, bestBurst := r.best(single, "cpu", isOurs), r.best(burst, "cpu", isOurs)
	flusher := burst.Cells[r.best(burst, "cpu", isFlusher).Name]
	connect := benchkit.Median(idle.Cells[parked].values("connect_cpu"))
	peerConnect := benchkit.Median(idle.Cells[r.best(idle, "connect_cpu", isPeer).Name].values("connect_cpu"))
	publish := func(scenario string) float64 {
		return benchkit.Median(r.scenario(scenario).Cells[parked].values("publish"))
	}

	var b strings.Builder
	b.WriteString("BENCHCMP_SSE")
	put := func(key string, value float64) { fmt.Fprintf(&b, " %s=%s", key, benchkit.Figure(value)) }
	put("floor_ratio_epoll", ratio(single.Cells["celeris-epoll"], single.Cells["c-send"], "cpu"))
	put("floor_ratio_iouring", ratio(single.Cells["celeris-iouring"], single.Cells["c-send"], "cpu"))
	put("peer_ratio", ratio(single.Cells[r.best(single, "cpu", isPeer).Name], single.Cells[bestSingle.Name], "cpu"))
	put("burst_floor_ratio", ratio(burst.Cells[bestBurst.Name], burst.Cells["c-coalesced"], "cpu"))
	put("burst_peer_ratio", ratio(flusher, burst.Cells[bestBurst.Name], "cpu"))
	put("idle_bytes", benchkit.Median(idle.Cells[parked].values("rss")))
	put("idle_goroutines", benchkit.Median(idle.Cells[parked].values("goroutines")))
	put(fmt.Sprintf("publish_ns_%d", r.Settings.Few), publish("publish few"))
	put(fmt.Sprintf("publish_ns_%d", r.Settings.Many), publish("publish many"))
	put("stalled_effect", ratio(stalled.Cells[parked+stalledSuffix], stalled.Cells[parked], "cpu"))
	put("delivered_pct", r.delivered(isOurs))
	put("stalled_latency_effect", ratio(stalled.Cells[parked+stalledSuffix], stalled.Cells[parked], "round"))
	put("std_burst_peer_ratio", ratio(flusher, burst.Cells["celeris-std"], "cpu"))
	put("connect_cpu_ms", connect*float64(r.Settings.Idle)/1e6)
	put("connect_peer_ratio", peerConnect/connect)
	put("publisher_late", benchkit.Median(overload.Cells[parked].values("late")))
	put("publisher_late_peer", benchkit.Median(overload.Cells[r.best(overload, "late", isPeer).Name].values("late")))
	return b.String()
}

// delivered is how much of what was published reached the streams of some designs, in percent.
func (r *Result) delivered(want func(design) bool) float64 {
	var due, delivered int64
	for _, d := range r.Designs {
		if want(d) {
			c := r.counts(d)
			due += c.Due
			delivered += c.Delivered
		}
	}
	return 100 * float64(delivered) / float64(due)
}

// counts sums a design's counts over all scenarios.
func (r *Result) counts(d design) Counts {
	var sum Counts
	for _, s := range r.Scenarios {
		for _, name := range []string{d.Name, d.Name + stalledSuffix} {
			c := s.Cells[name].Counts
			sum.Due += c.Due
			sum.Delivered += c.Delivered
			sum.Duplicates += c.Duplicates
		}
	}
	return sum
}
