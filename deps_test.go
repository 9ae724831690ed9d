package celeris_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The core links the standard library and two modules, and nothing else.
func TestDependencies_OfTheCore(t *testing.T) {
	const self = "github.com/goceleris/celeris"
	allowed := []string{self, "golang.org/x/sys", "github.com/goccy/go-json"}
	core := []string{".", "./engine/...", "./internal/...", "./middleware/recovery", "./middleware/logger"}
	for _, dir := range []string{"middleware/sse"} {
		if files, _ := os.ReadDir(dir); slices.ContainsFunc(files, func(f os.DirEntry) bool { return strings.HasSuffix(f.Name(), ".go") }) {
			core = append(core, "./"+dir)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}, core...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	deps := strings.Fields(string(out))
	for _, dep := range deps {
		if !slices.ContainsFunc(allowed, func(m string) bool { return dep == m || strings.HasPrefix(dep, m+"/") }) {
			t.Errorf("the core links %s: only %s and the standard library are allowed", dep, strings.Join(allowed, ", "))
		}
		if dep == self+"/celeristest" {
			t.Errorf("the core links %s, which is for tests and imports package testing", dep)
		}
	}
	if !slices.Contains(deps, self) || !slices.Contains(deps, self+"/internal/exchange") {
		t.Errorf("go list left out what it was asked for: %q", deps)
	}
}
