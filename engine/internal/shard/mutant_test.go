package shard

import (
	"testing"

	"github.com/goceleris/celeris/internal/mutant"
)

// TestMutants shows that the tests see the rules that a simulated connection can't break. Package sim has the others.
func TestMutants(t *testing.T) {
	suite := mutant.Suite{Switch: "ENGINE_MUTANTS", Dir: ".", Run: "TestShard", Timeout: "10s", Mutants: []mutant.Mutant{
		{Name: "beats behind the farewell", Edits: []mutant.Edit{
			{"stream.go", " && len(s.rest) == 0 && !s.finished:", " && len(s.rest) == 0:"}}},
		{Name: "takes room that is not there for progress", Edits: []mutant.Edit{
			{"stream.go", "if !s.full || queued < s.waiting {", "if !s.refused || queued < s.waiting {"}}},
	}}
	suite.Test(t)
}
