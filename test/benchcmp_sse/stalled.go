package main

import (
	"fmt"
	"time"
)

// fillSize is one event of those that fill the buffers of readers that don't read.
const fillSize = 64 << 10

// stalls compares each design with itself: all streams are read, or one in ten isn't and the kernel's buffers for it
// are full. What is measured is what the others see.
func (b *bench) stalls(rounds int, budget time.Duration) {
	n := b.Settings.Stall
	var all matrix
	all.bench = b
	for _, stalled := range []int{0, n / 10} {
		m := b.start(load{n: n - stalled, stalled: stalled}, func(d design) bool { return d.Kind != floor })
		for _, r := range m.runners {
			if stalled > 0 {
				r.Name += stalledSuffix
			}
			if r.failed = r.fill(b.Settings.Fill); r.failed != nil {
				b.note("%s, %d of %d stalled: %v", r.Label, stalled, n, r.failed)
			}
		}
		all.runners = append(all.runners, m.runners...)
	}
	all.rounds("stalled", rounds, budget, all.closed(1))
	all.stop()
}

// stalledSuffix marks the half of a design that has readers which don't read.
const stalledSuffix = " stalled"

// fill publishes until the buffers of a connection that isn't read are full, at the pace of those that are.
func (r *runner) fill(bytes int) error {
	for sent := 0; sent < bytes; sent += fillSize {
		r.number++
		r.due += int64(r.n)
		var ns int64
		command := fmt.Sprintf("publish 1 1 %d", fillSize)
		if err := r.server.AskWithin(stuck, command, "published %d", &ns); err != nil {
			return fmt.Errorf("publishing stopped after %d KiB: %w", sent>>10, err)
		}
		t, err := r.fleet.Reach(r.group, r.number, stuck)
		if err != nil {
			return err
		}
		r.tally = t
		if t.Reached < r.n {
			return fmt.Errorf("after %d KiB the newest event reached %d of %d readers within %v", sent>>10, t.Reached, r.n, stuck)
		}
	}
	return nil
}

// stuck is when a design counts as stopped for good.
const stuck = 8 * time.Second
