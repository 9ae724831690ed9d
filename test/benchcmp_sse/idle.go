package main

import (
	"errors"
)

// idle measures what streams cost that have nothing to do, and what it costs to accept them: one design after the
// other, each alone.
func (b *bench) idle() {
	b.say("idle")
	cells := map[string]Cell{}
	for _, d := range b.Designs {
		m := b.start(load{n: b.Settings.Idle, warm: b.Settings.Warm}, func(e design) bool { return e.Name == d.Name })
		if len(m.runners) == 0 {
			cells[d.Name] = Cell{Failed: "did not start"}
			continue
		}
		s, err := m.runners[0].rest()
		if err != nil {
			b.note("%s, idle: %v", d.Label, err)
			cells[d.Name] = Cell{Failed: err.Error()}
		} else {
			cells[d.Name] = Cell{Visits: []Sample{s}, Counts: m.runners[0].counts()}
		}
		m.stop()
	}
	b.Scenarios = append(b.Scenarios, Scenario{Name: "idle", Cells: cells})
}

// rest compares a server with its streams at rest with what it was before.
func (r *runner) rest() (Sample, error) {
	s := Sample{Values: map[string]float64{}}
	if r.n == 0 {
		return s, errors.New("no streams")
	}
	if err := r.server.Ask("gc", "gc"); err != nil {
		return s, err
	}
	after, err := r.server.Stats()
	if err != nil {
		return s, err
	}
	n := float64(r.n)
	s.Values["rss"] = float64(after.RSS-r.before.RSS) / n
	s.Values["goroutines"] = float64(after.Goroutines-r.before.Goroutines) / n
	s.Values["connect_cpu"] = float64(r.connectCPU.Nanoseconds()) / n
	s.Values["connect_wall"] = float64(r.connectWall.Nanoseconds()) / n
	return s, nil
}
