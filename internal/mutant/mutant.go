// Package mutant shows that tests see the rules of a package: it switches them off, one at a time, in a copy of the
// source that is compiled in its place.
package mutant

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Edit names a file, a text that it holds once, and what replaces it.
type Edit [3]string

// Mutant is one rule that is switched off.
type Mutant struct {
	Name  string
	Run   string // the test of the caller's package that has to object; the suite's if empty
	Env   string // one variable for it, "NAME=value"; the suite's if empty
	Tries int    // how often a test that depends on chance may miss it; once if zero
	Edits []Edit
}

// Suite is a set of mutants.
type Suite struct {
	// Switch is the variable of the environment that has the suite run: 1 for all, or a part of a name. A compiler run for
	// each is too slow for every day: in CI (CI=true) as many run, in random order, as begin within a minute.
	Switch string
	// Dir is where the edited files are, relative to the caller's package.
	Dir string
	// Run, Env and Timeout, as go test takes it, are for all mutants.
	Run, Env, Timeout string
	// MayHang counts a run that times out as noticed.
	MayHang bool
	Mutants []Mutant
}

// Test fails for each mutant that goes unnoticed, doesn't compile or doesn't apply.
func (s *Suite) Test(t *testing.T) {
	only, until, mutants := os.Getenv(s.Switch), time.Time{}, s.Mutants
	switch {
	case only != "":
	case os.Getenv("CI") == "true":
		only, until, mutants = "1", time.Now().Add(time.Minute), slices.Clone(mutants)
		rand.Shuffle(len(mutants), func(i, j int) { mutants[i], mutants[j] = mutants[j], mutants[i] })
	default:
		t.Skipf("minutes of compiling: set %s=1, or CI=true", s.Switch)
	}
	for i, m := range mutants {
		if !until.IsZero() && time.Now().After(until) {
			t.Logf("%d of %d mutants were tried; %s=1 tries all", i, len(mutants), s.Switch)
			return
		}
		if only != "1" && !strings.Contains(m.Name, only) {
			continue
		}
		t.Run(strings.ReplaceAll(m.Name, " ", "_"), func(t *testing.T) { s.test(t, m) })
	}
}

func (s *Suite) test(t *testing.T, m Mutant) {
	text, err := "", error(nil)
	for overlay, n := s.overlay(t, m.Edits), 0; err == nil && n < max(m.Tries, 1); n++ {
		cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-vet=off", "-count=1",
			"-timeout="+s.Timeout, "-run="+cmp.Or(m.Run, s.Run), ".")
		cmd.Env = append(os.Environ(), cmp.Or(m.Env, s.Env), s.Switch+"=", "CI=")
		var out []byte
		out, err = cmd.CombinedOutput()
		text = string(out)
	}
	switch {
	case err == nil:
		t.Error("went unnoticed")
	case strings.Contains(text, "[build failed]"), strings.Contains(text, "panic: test timed out") && !s.MayHang:
		t.Fatal(text)
	default:
		t.Logf("%.400s", text)
	}
}

// overlay writes the edited files and the list that puts them in place, and returns its name.
func (s *Suite) overlay(t *testing.T, edits []Edit) string {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	for _, e := range edits {
		file, from, to := e[0], e[1], e[2]
		original, err := filepath.Abs(filepath.Join(s.Dir, file))
		if err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile(cmp.Or(replace[original], original))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), from); n != 1 {
			t.Fatalf("%s holds %q %d times, want once", file, from, n)
		}
		replace[original] = filepath.Join(dir, file)
		write(t, replace[original], []byte(strings.Replace(string(source), from, to, 1)))
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "overlay.json")
	write(t, name, list)
	return name
}

func write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
