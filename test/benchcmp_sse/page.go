package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goceleris/celeris/test/benchkit"
)

const (
	pageBegin = "<!-- benchcmp_sse: begin, written by go tool mage BenchcmpSSE -->\n"
	pageEnd   = "<!-- benchcmp_sse: end -->\n"
)

// publishPage writes the section of the benchmarks' page and its chart, below the root module's directory.
func publishPage(r *Result, root string) error {
	page := filepath.Join(root, "docs", "benchmarks.md")
	old, err := os.ReadFile(page)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	text, err := replaceSection(string(old), r.section())
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "docs", "bench", "sse.svg"), []byte(r.chart()), 0o644)
}

// replaceSection puts a section between the marks, or with marks at the end of the page.
func replaceSection(page, section string) (string, error) {
	before, rest, found := strings.Cut(page, pageBegin)
	if !found {
		return page + "\n" + pageBegin + section + pageEnd, nil
	}
	_, after, found := strings.Cut(rest, pageEnd)
	if !found {
		return "", fmt.Errorf("there is no line %q behind %q", strings.TrimSpace(pageEnd), strings.TrimSpace(pageBegin))
	}
	return before + pageBegin + section + pageEnd + after, nil
}

// section is what the page says about this result. All of it comes from the figures.
func (r *Result) section() string {
	var b strings.Builder
	s, m := r.Settings, r.Machine
	b.WriteString("## Delivery, compared\n\n```\ngo tool mage BenchcmpSSE\n```\n\n")
	b.WriteString("![CPU per event, memory per stream](bench/sse.svg)\n\n")
	fmt.Fprintf(&b, "%s. %s, %d cores, Linux %s, %s%s; load average before the run %s. %d streams, up to %d rounds, %v a visit; %.0f s in all. "+
		"Raw figures: [sse.json](bench/sse.json).\n\n",
		r.When.Format(time.DateOnly), m.CPU, m.Cores, m.Kernel, m.Go, compilerText(m.CC), m.Load, s.Subs, s.Rounds, s.Visit, m.Took)
	b.WriteString(method)
	for _, n := range r.remarks() {
		fmt.Fprintf(&b, "- %s\n", n)
	}
	fmt.Fprintf(&b, "\n```\n%s\n```\n\n%s", r.summary(), r.tables())
	b.WriteString("### Where we lose\n\n")
	rows := r.losses()
	if len(rows) == 0 {
		b.WriteString("Nowhere in this run.\n\n")
		return b.String()
	}
	fmt.Fprintf(&b, "Every figure above in which somebody is better than one of our engines, and by what factor. \"Near\" is a lead of less than %.0f %%, "+
		"which the next run may turn around; at the tails of latencies it takes more.\n\n| figure | of ours | | better peers | better floors |\n|---|---|---:|---|---|\n%s\n\n", (near-1)*100, strings.Join(rows, "\n"))
	return b.String()
}

func compilerText(cc string) string {
	if cc == "" {
		return ""
	}
	return ", " + cc
}

// method says how it is measured; what a run found is not in it.
const method = `Each server is a process of its own, and so is its client
([` + "`test/loadgen`" + `](../test/loadgen)), which runs as a batch job and looks at its sockets after short naps, so that
waking it is not the sender's work. In the main scenarios all servers are alive at once with all their clients connected.
Every round visits each of them in random order; the first event of a visit is not counted. One event at a time and
bursts are a closed loop: the next is published when the last one has arrived at every client. Figures are medians, in
brackets the tenth and ninetieth percentile of visits or calls. Ratios are those within a round, and their median.
Events are numbered: what is lost or repeated is counted. CPU is getrusage's; the kernel's own threads are not in it,
and on loopback the receiver's half of TCP is. Every event is 200 bytes on the wire as a client gets it, ids included, chunk
sizes not.

Celeris runs with its defaults, but for two: no heartbeats, which the others don't have either, and a MaxStall of an hour
in the place of a minute, so that readers which don't read last as long as the measurement. No Go server listens with MPTCP.
Peers are used as their documentation has it: go-sse with its default provider, r3labs/sse without replay, and two hubs
on net/http that many write by hand, with a channel of 256 events for each client and a goroutine that flushes after
each event, or when its channel is empty. The floors are a program in C that only sends, and connections taken from
net/http that are written to one after the other: no replay, no slow readers, no ids.

`

// remarks are what has to be known about this run.
func (r *Result) remarks() []string {
	notes := r.Notes
	for _, d := range r.Designs {
		idle := benchkit.Median(r.scenario("idle").Cells[d.Name].values("goroutines"))
		if d.Kind == ours && d.Name != "celeris-std" && idle > 0.5 {
			notes = append(notes, fmt.Sprintf("%s had %s goroutines for each idle stream: in this run its streams were not parked.",
				d.Label, benchkit.Figure(idle)))
		}
	}
	return notes
}

// latencyInterval is the pause between two events of the latency scenario: some third of what one core can send.
func (r *Result) latencyInterval() time.Duration {
	return time.Duration(r.Settings.Subs) * 50 * time.Microsecond
}
