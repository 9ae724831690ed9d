package main

import (
	"encoding/json"
	"os"
	"time"
)

// Result is everything that a run has measured: what the page is rendered from.
type Result struct {
	When      time.Time  `json:"when"`
	Machine   Machine    `json:"machine"`
	Settings  Settings   `json:"settings"`
	Designs   []design   `json:"designs"`
	Notes     []string   `json:"notes,omitempty"` // what could not be measured, and why
	Scenarios []Scenario `json:"scenarios"`
}

// Machine is where it was measured.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	CC     string `json:"cc,omitempty"`
	Load   string `json:"load"` // average before the run
	// Took is how long the run took, in seconds.
	Took float64 `json:"took_s"`
}

// Settings are the sizes of a run.
type Settings struct {
	Subs      int           `json:"subs"`
	Rounds    int           `json:"rounds"`
	Visit     time.Duration `json:"visit_ns"` // how long one visit goes on publishing, at least
	Idle      int           `json:"idle"`
	Warm      int           `json:"warm"` // streams that a process has before the idle ones come
	Few, Many int           // streams of the publish scenario
	Topics    int           `json:"topics"`
	Stall     int           `json:"stall"` // streams of that scenario
	Fill      int           `json:"fill"`  // bytes published to fill the buffers of those that don't read
	Limited   bool          `json:"limited"`
}

// Scenario is one set of conditions, with what each design made of it.
type Scenario struct {
	Name  string          `json:"name"`
	Cells map[string]Cell `json:"cells"` // by design
}

// Cell is what one design made of one scenario.
type Cell struct {
	// Failed is why there is no result, or none after some rounds.
	Failed string   `json:"failed,omitempty"`
	Counts Counts   `json:"counts"`
	Visits []Sample `json:"visits"`
}

// Counts is what became of the events.
type Counts struct {
	Due        int64 `json:"due"`
	Delivered  int64 `json:"delivered"`
	Duplicates int64 `json:"duplicates"`
}

// Sample is one visit.
type Sample struct {
	Round  int                  `json:"round"`
	Values map[string]float64   `json:"values"`
	Lists  map[string][]float64 `json:"lists,omitempty"` // one value for each event
}

// scenario returns a scenario by name, an empty one if it was not run.
func (r *Result) scenario(name string) Scenario {
	for _, s := range r.Scenarios {
		if s.Name == name {
			return s
		}
	}
	return Scenario{}
}

func (r *Result) write(path string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

func readResult(path string) (*Result, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(Result)
	return r, json.Unmarshal(b, r)
}
