package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// writeSpec writes what the fuzzing client is to do: all cases, against all agents.
func writeSpec(path string, agents []agent, reports string) error {
	spec := struct {
		Outdir        string              `json:"outdir"`
		Servers       []agent             `json:"servers"`
		Cases         []string            `json:"cases"`
		ExcludeCases  []string            `json:"exclude-cases"`
		ExcludeAgents map[string][]string `json:"exclude-agent-cases"`
	}{reports, agents, []string{"*"}, []string{}, map[string][]string{}}
	b, err := json.MarshalIndent(spec, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644) //nolint:gosec // the container may read as somebody else
}

// verdict is the client's index of reports: agent, case, result.
type verdict map[string]map[string]struct {
	Behavior string `json:"behavior"`
	Close    string `json:"behaviorClose"`
	Report   string `json:"reportfile"`
}

func readVerdict(path string) (verdict, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the fuzzing client left no report: %w", err)
	}
	var v verdict
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// good are the results that pass.
var good = []string{"OK", "NON-STRICT", "INFORMATIONAL"}

// String counts the results of each agent.
func (v verdict) String() string {
	var b strings.Builder
	for _, agent := range slices.Sorted(maps.Keys(v)) {
		counts := map[string]int{}
		for _, c := range v[agent] {
			counts[c.Behavior]++
		}
		fmt.Fprintf(&b, "%s: %d cases", agent, len(v[agent]))
		for _, result := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(&b, ", %d %s", counts[result], result)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// judge returns an error for each case that failed, and for each agent that was not tried.
func (v verdict) judge(agents []agent) error {
	var err error
	for _, a := range agents {
		if len(v[a.Agent]) == 0 {
			err = errors.Join(err, fmt.Errorf("%s was not tried", a.Agent))
		}
	}
	for _, agent := range slices.Sorted(maps.Keys(v)) {
		for _, name := range slices.Sorted(maps.Keys(v[agent])) {
			c := v[agent][name]
			if !slices.Contains(good, c.Behavior) || !slices.Contains(good, c.Close) {
				err = errors.Join(err, fmt.Errorf("%s, case %s: %s, close %s: %s", agent, name, c.Behavior, c.Close, c.Report))
			}
		}
	}
	return err
}
