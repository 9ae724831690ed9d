package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"slices"
	"time"

	"github.com/goceleris/celeris/test/benchkit"
)

// bench is a run in progress.
type bench struct {
	Result
	client func() *exec.Cmd
	order  *rand.Rand
	say    func(format string, args ...any)
}

// matrix is a set of designs that are all alive, with all clients connected.
type matrix struct {
	*bench
	runners []*runner
}

// start starts the designs that want it. One that can't be started is missing, which is noted.
func (b *bench) start(l load, want func(design) bool) *matrix {
	m := &matrix{bench: b}
	for _, d := range b.Designs {
		if want != nil && !want(d) {
			continue
		}
		r, err := startRunner(d, l, b.client)
		if err != nil {
			b.note("%s is missing with %d streams: %v", d.Label, l.n, err)
			continue
		}
		if r.log != "" {
			b.note("%s says: %s", d.Label, r.log)
		}
		m.runners = append(m.runners, r)
	}
	return m
}

func (b *bench) note(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if slices.Contains(b.Notes, note) {
		return
	}
	b.Notes = append(b.Notes, note)
	b.say("!!! "+format, args...)
}

// stop ends all processes. One that ended badly had failed before.
func (m *matrix) stop() {
	for _, r := range m.runners {
		if err := r.stop(); err != nil && r.failed == nil {
			m.note("%s: %v", r.Label, err)
		}
	}
}

// visit measures one thing on one design.
type visit func(r *runner, s *Sample) error

// rounds visits every design in each round, in random order, and adds what came of it as a scenario.
func (m *matrix) rounds(name string, rounds int, budget time.Duration, do visit) {
	m.say("%s", name)
	begin := time.Now()
	cells := map[string]Cell{}
	for _, r := range m.runners {
		r.base, r.due = r.tally, 0
	}
	for round := range rounds {
		if m.Settings.Limited && round >= 3 && time.Since(begin) > budget {
			break
		}
		for _, i := range m.order.Perm(len(m.runners)) {
			r := m.runners[i]
			if r.failed != nil {
				continue
			}
			s := Sample{Round: round, Values: map[string]float64{}}
			if r.failed = do(r, &s); r.failed != nil {
				m.note("%s, %s: %v", r.Label, name, r.failed)
				continue
			}
			cell := cells[r.Name]
			cell.Visits = append(cell.Visits, s)
			cells[r.Name] = cell
		}
	}
	for _, r := range m.runners {
		cell := cells[r.Name]
		cell.Counts = r.counts()
		if r.failed != nil {
			cell.Failed = r.failed.Error()
		}
		cells[r.Name] = cell
	}
	m.Scenarios = append(m.Scenarios, Scenario{Name: name, Cells: cells})
}

// closed is a visit that publishes bursts, each when the one before has arrived everywhere. The first event, a single
// one, is not counted.
func (m *matrix) closed(burst int) visit {
	return func(r *runner, s *Sample) error {
		if _, err := r.publish(1, wireSize); err != nil {
			return err
		}
		if err := r.await(); err != nil {
			return err
		}
		before, err := r.usage()
		if err != nil {
			return err
		}
		begin := time.Now()
		delivered := r.tally.Delivered
		var arrived []float64
		for time.Since(begin) < m.Settings.Visit || len(s.Lists["publish"]) == 0 {
			started := time.Now()
			took, err := r.publish(burst, wireSize)
			if err != nil {
				return err
			}
			if err := r.await(); err != nil {
				return err
			}
			s.add("publish", float64(took.Nanoseconds())/float64(burst*r.topics))
			arrived = append(arrived, float64(time.Since(started).Nanoseconds()))
		}
		after, err := r.usage()
		if err != nil {
			return err
		}
		events := float64(r.tally.Delivered - delivered)
		if events == 0 {
			return errors.New("nothing was delivered")
		}
		s.Values["cpu"] = float64((after.server - before.server).Nanoseconds()) / events
		s.Values["round"] = benchkit.Median(arrived)
		s.Values["client"] = float64((after.client - before.client).Nanoseconds()) / events
		return nil
	}
}

// add adds one value, in nanoseconds.
func (s *Sample) add(list string, value float64) {
	if s.Lists == nil {
		s.Lists = map[string][]float64{}
	}
	s.Lists[list] = append(s.Lists[list], math.Round(value))
}
