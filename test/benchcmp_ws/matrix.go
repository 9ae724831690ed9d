package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// bench is a run in progress.
type bench struct {
	Result
	order *rand.Rand
	say   func(format string, args ...any)
}

// visit measures one thing on one design.
type visit func(r *runner) (map[string]float64, error)

func (b *bench) note(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if slices.Contains(b.Notes, note) {
		return
	}
	b.Notes = append(b.Notes, note)
	b.say("!!! %s", note)
}

// start starts designs. One that can't be started is missing, which is noted.
func (b *bench) start(l load, designs ...design) []*runner {
	var all []*runner
	for _, d := range designs {
		if l.deflate && !d.packs {
			continue
		}
		r, err := startRunner(d, l)
		if err != nil {
			b.note("%s is missing with %d clients: %v", d.Label, l.n, err)
			continue
		}
		all = append(all, r)
	}
	return all
}

// stop ends all processes. One that ended badly had failed before.
func (b *bench) stop(all []*runner) {
	for _, r := range all {
		if err := r.stop(); err != nil && r.failed == nil {
			b.note("%s: %v", r.Label, err)
		}
	}
}

// together has all designs alive and visits each in every round, in random order, for each of the scenarios.
func (b *bench) together(l load, scenarios ...scenarioPlan) {
	all := b.start(l, b.Designs...)
	for _, s := range scenarios {
		b.rounds(all, s)
	}
	b.stop(all)
}

// alone has one design alive at a time, where all would be too many clients.
func (b *bench) alone(l load, s scenarioPlan) {
	for _, d := range b.Designs {
		all := b.start(l, d)
		b.rounds(all, s)
		b.stop(all)
	}
}

// scenarioPlan is a scenario to be.
type scenarioPlan struct {
	name   string
	rounds int
	do     visit
}

func (b *bench) rounds(all []*runner, s scenarioPlan) {
	b.say("%s", s.name)
	cells := b.cells(s.name)
	for _, r := range all {
		r.base, r.due = r.tally, 0
	}
	for round := range s.rounds {
		for _, i := range b.order.Perm(len(all)) {
			r := all[i]
			if r.failed != nil {
				continue
			}
			var values map[string]float64
			if values, r.failed = s.do(r); r.failed != nil {
				b.note("%s, %s: %v", r.Label, s.name, r.failed)
				continue
			}
			cell := cells[r.Name]
			cell.Visits = append(cell.Visits, Sample{Round: round, Values: values})
			cells[r.Name] = cell
		}
	}
	for _, r := range all {
		cell := cells[r.Name]
		cell.Counts = r.counts()
		if r.failed != nil {
			cell.Failed = r.failed.Error()
		}
		cells[r.Name] = cell
	}
}

// broadcast publishes bursts, each when the one before has arrived everywhere. The first message, a single one, is not
// counted.
func (b *bench) broadcast(burst int) visit {
	return func(r *runner) (map[string]float64, error) {
		if _, err := r.publish(1, messageSize); err != nil {
			return nil, err
		}
		if err := r.await(); err != nil {
			return nil, err
		}
		delivered := r.tally.Delivered
		server, client, err := r.during(b.Settings.Visit, func() error {
			if _, err := r.publish(burst, messageSize); err != nil {
				return err
			}
			return r.await()
		})
		if err != nil {
			return nil, err
		}
		n := float64(r.tally.Delivered - delivered)
		if n == 0 {
			return nil, errors.New("nothing was delivered")
		}
		return map[string]float64{"cpu": server / n, "client": client / n}, nil
	}
}

// echoes has all clients send a message and wait for it.
func (b *bench) echoes(size int) visit {
	const once = 10
	return func(r *runner) (map[string]float64, error) {
		n := 0
		server, client, err := r.during(b.Settings.Visit, func() error {
			err := r.fleet.Echo(r.group, r.number+1, once, size)
			r.number += once
			n += once * r.load.n
			return err
		})
		if err != nil {
			return nil, err
		}
		r.due += int64(n)
		if r.tally, err = r.fleet.Reach(r.group, r.number, late); err != nil {
			return nil, err
		}
		return map[string]float64{"cpu": server / float64(n), "client": client / float64(n)}, nil
	}
}

// during does something again and again for a time, and returns the processor time that it took server and client, in
// nanoseconds.
func (r *runner) during(d time.Duration, do func() error) (server, client float64, err error) {
	before, err := r.server.Stats()
	if err != nil {
		return 0, 0, err
	}
	used, err := r.fleet.CPU()
	if err != nil {
		return 0, 0, err
	}
	for begin := time.Now(); ; {
		if err := do(); err != nil {
			return 0, 0, err
		}
		if time.Since(begin) >= d {
			break
		}
	}
	after, err := r.server.Stats()
	if err != nil {
		return 0, 0, err
	}
	usedAfter, err := r.fleet.CPU()
	return float64(after.CPU - before.CPU), float64(usedAfter - used), err
}

// rest compares a server with its clients at rest with what it was before, and tells what it cost to accept them.
func rest(r *runner) (map[string]float64, error) {
	if err := r.server.Ask("gc", "gc"); err != nil {
		return nil, err
	}
	after, err := r.server.Stats()
	if err != nil {
		return nil, err
	}
	n := float64(r.load.n)
	return map[string]float64{
		"rss":        float64(after.RSS-r.before.RSS) / n,
		"goroutines": float64(after.Goroutines-r.before.Goroutines) / n,
		"upgrade":    float64(r.connectCPU.Nanoseconds()) / n,
	}, nil
}
