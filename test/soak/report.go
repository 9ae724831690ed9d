//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// measurement is what the process holds.
type measurement struct {
	goroutines, fds, heap int
}

func measure() (m measurement) {
	for range 3 { // what pools hold goes in steps
		runtime.GC()
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	m.goroutines, m.heap = runtime.NumGoroutine(), int(mem.HeapAlloc)
	if list, err := os.ReadDir("/proc/self/fd"); err == nil {
		m.fds = len(list)
	}
	return m
}

func (m measurement) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d bytes of heap", m.goroutines, m.fds, m.heap)
}

// allowance is by how much the heap may have grown: places for streams are kept to be used again.
func allowance(streams int) int { return 1<<20 + 256*streams }

// above reports whether m is more than it was.
func (m measurement) above(start measurement, streams int) bool {
	return m.goroutines > start.goroutines || m.fds > start.fds || m.heap > start.heap+allowance(streams)
}

// tally is what the clients saw.
type tally struct {
	Churned    int // connections that were cut
	Delivered  int
	Gaps       int
	Duplicates int
	Resyncs    int
	Unfinished int      // clients that did not come to the end
	Stalled    int      // times that a client stood still
	GivenUp    int      // and those after which the server had ended its stream
	Closed     int      // connections that the server has closed as too slow
	Inflated   int      // messages that came compressed
	Echoed     int      // messages of clients that came back
	Examples   []string // of what is wrong
}

func (t *tally) add(u tally) {
	t.Churned += u.Churned
	t.Delivered += u.Delivered
	t.Gaps += u.Gaps
	t.Duplicates += u.Duplicates
	t.Resyncs += u.Resyncs
	t.Unfinished += u.Unfinished
	t.Stalled += u.Stalled
	t.GivenUp += u.GivenUp
	t.Closed += u.Closed
	t.Inflated += u.Inflated
	t.Echoed += u.Echoed
	if len(t.Examples) < 10 {
		t.Examples = append(t.Examples, u.Examples...)
	}
}

// report is the result of a run.
type report struct {
	tally
	Kind       kind
	Streams    int
	Events     int
	Left       int // streams
	start, end measurement
}

// judge returns what is wrong.
func (r *report) judge() error {
	var wrong []error
	for _, e := range r.Examples {
		wrong = append(wrong, errors.New(e))
	}
	if r.Gaps > 0 || r.Duplicates > 0 || r.Unfinished > 0 {
		wrong = append(wrong, fmt.Errorf("%d gaps, %d duplicates, %d clients did not come to the end", r.Gaps, r.Duplicates, r.Unfinished))
	}
	if r.Delivered == 0 || r.Churned == 0 || r.Stalled == 0 || r.Kind == kindWS && (r.Echoed == 0 || r.Inflated == 0) {
		wrong = append(wrong, errors.New("too little has happened"))
	}
	if r.Left > 0 {
		wrong = append(wrong, fmt.Errorf("%d streams are left", r.Left))
	}
	if r.end.above(r.start, r.Streams) {
		wrong = append(wrong, fmt.Errorf("something is left: %v, in the beginning %v", r.end, r.start))
	}
	return errors.Join(wrong...)
}

func (r *report) String() string {
	return fmt.Sprintf("SOAK kind=%s streams=%d churned=%d stalled=%d given_up=%d closed=%d inflated=%d echoed=%d events=%d delivered=%d gaps=%d duplicates=%d resyncs=%d unfinished=%d "+
		"goroutines_start=%d goroutines_end=%d fds_start=%d fds_end=%d heap_start=%d heap_end=%d",
		r.Kind, r.Streams, r.Churned, r.Stalled, r.GivenUp, r.Closed, r.Inflated, r.Echoed, r.Events, r.Delivered, r.Gaps, r.Duplicates, r.Resyncs, r.Unfinished,
		r.start.goroutines, r.end.goroutines, r.start.fds, r.end.fds, r.start.heap, r.end.heap)
}
