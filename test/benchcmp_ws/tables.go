package main

import (
	"fmt"
	"strings"

	"github.com/goceleris/celeris/test/benchkit"
)

// Names of scenarios.
const (
	few      = "broadcast, few"
	single   = "broadcast"
	burst    = "burst of 100"
	many     = "broadcast, many"
	rooms    = "rooms"
	deflated = "compressed"
	small    = "echo, 64 B"
	large    = "echo, 64 KiB"
	idle     = "idle"
	bare     = "idle, in no room"
)

// columns are the figures of the table. All are medians; CPU is the server's, user and system.
var columns = []struct {
	title, scenario, metric string
	divisor                 float64
}{
	{"echo 64 B, µs", small, "cpu", 1000},
	{"echo 64 KiB, µs", large, "cpu", 1000},
	{"broadcast few, ns", few, "cpu", 1},
	{"broadcast, ns", single, "cpu", 1},
	{"broadcast many, ns", many, "cpu", 1},
	{"burst of 100, ns", burst, "cpu", 1},
	{"rooms, ns", rooms, "cpu", 1},
	{"compressed, ns", deflated, "cpu", 1},
	{"upgrade, µs", idle, "upgrade", 1000},
	{"idle, B", idle, "rss", 1},
	{"idle in no room, B", bare, "rss", 1},
	{"idle goroutines", idle, "goroutines", 1},
}

// table writes all figures in Markdown.
func (r *Result) table() string {
	var b strings.Builder
	s := r.Settings
	fmt.Fprintf(&b, "CPU of the server per message, %d B unless it is said; broadcasts to %d, %d and %d clients; %d rooms of 10.\n\n",
		messageSize, s.Few, s.Subs, s.Many, s.Rooms)
	b.WriteString("| |")
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", c.title)
	}
	b.WriteString(" delivered of due |\n|---|" + strings.Repeat("---:|", len(columns)+1) + "\n")
	for _, d := range r.Designs {
		fmt.Fprintf(&b, "| %s |", d.Label)
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", benchkit.Figure(r.value(c.scenario, d.Name, c.metric)/c.divisor))
		}
		counts := r.counts(d.Name)
		fmt.Fprintf(&b, " %d/%d |\n", counts.Delivered, counts.Due)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\n%s\n", n)
	}
	return b.String()
}

// parked is the design that our figures are about where one has to be named: what a server on Linux runs on.
const parked = "celeris-epoll"

// summary is the line of key figures, which ends a run. Ratios to the floor, to gws and to gorilla are better when lower,
// those of the best peer to us when higher.
func (r *Result) summary() string {
	var b strings.Builder
	b.WriteString("BENCHCMP_WS")
	put := func(key string, value float64) { fmt.Fprintf(&b, " %s=%s", key, benchkit.Figure(value)) }
	us := func(scenario string) string { return r.best(scenario, ours, "cpu") }
	peers := func(scenario string) float64 {
		return r.ratio(scenario, r.best(scenario, peer, "cpu"), us(scenario), "cpu")
	}
	put("floor_ratio", r.ratio(single, us(single), "c-send", "cpu"))
	put("peer_ratio", peers(single))
	put("burst_floor_ratio", r.ratio(burst, us(burst), "c-coalesced", "cpu"))
	put("burst_peer_ratio", peers(burst))
	put("idle_bytes", r.value(idle, parked, "rss"))
	put("idle_bare_bytes", r.value(bare, parked, "rss"))
	put("idle_goroutines", r.value(idle, parked, "goroutines"))
	put("echo_vs_gws", r.ratio(small, us(small), "gws", "cpu"))
	put("upgrade_vs_gorilla", r.ratio(idle, parked, "gorilla", "upgrade"))
	put("delivered_pct", r.delivered())
	put("echo_64k_vs_gws", r.ratio(large, us(large), "gws", "cpu"))
	put("few_peer_ratio", peers(few))
	put("many_peer_ratio", peers(many))
	put("rooms_peer_ratio", peers(rooms))
	put("compressed_peer_ratio", peers(deflated))
	put("idle_peer_ratio", r.ratio(idle, r.best(idle, peer, "rss"), parked, "rss"))
	return b.String()
}

// delivered is how much of what was due reached our clients, in percent.
func (r *Result) delivered() float64 {
	var due, delivered int64
	for _, d := range r.Designs {
		if d.Kind == ours {
			c := r.counts(d.Name)
			due += c.Due
			delivered += c.Delivered
		}
	}
	return 100 * float64(delivered) / float64(due)
}
