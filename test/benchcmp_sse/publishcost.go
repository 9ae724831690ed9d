package main

import "time"

// publishes measures what the call costs its caller while few and while many streams have nothing else to do. The two
// servers of a design are alive at once and take turns.
func (b *bench) publishes() {
	b.say("publish")
	sizes := []int{b.Settings.Few, b.Settings.Many}
	names := []string{"publish few", "publish many"}
	cells := []map[string]Cell{{}, {}}
	for _, d := range b.Designs {
		if d.Kind == floor {
			continue
		}
		var pair matrix
		pair.bench = b
		for _, n := range sizes {
			pair.runners = append(pair.runners, b.start(load{n: n}, func(e design) bool { return e.Name == d.Name }).runners...)
		}
		if len(pair.runners) == len(sizes) {
			b.takeTurns(&pair, cells)
		}
		pair.stop()
	}
	for i, name := range names {
		b.Scenarios = append(b.Scenarios, Scenario{Name: name, Cells: cells[i]})
	}
}

func (b *bench) takeTurns(pair *matrix, cells []map[string]Cell) {
	begin := time.Now()
	for round := range 2 * b.Settings.Rounds {
		if b.Settings.Limited && round >= 5 && time.Since(begin) > 6*time.Second {
			break
		}
		for _, i := range b.order.Perm(len(pair.runners)) {
			r := pair.runners[i]
			cell := cells[i][r.Name]
			s := Sample{Round: round}
			took, err := r.publish(1, wireSize)
			if err == nil {
				err = r.await()
			}
			if err != nil {
				b.note("%s, publish with %d streams: %v", r.Label, r.n, err)
				cell.Failed, r.failed = err.Error(), err
				cells[i][r.Name] = cell
				return
			}
			s.add("publish", float64(took.Nanoseconds()))
			cell.Visits = append(cell.Visits, s)
			cell.Counts = r.counts()
			cells[i][r.Name] = cell
		}
	}
}
