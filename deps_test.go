package celeris_test

import (
	"os"
	"os/exec"

	"slices"
	"strings"
	"testing"
)

const self = "github.com/goceleris/celeris"

// The core links the standard library and two modules, and nothing else.
func TestDependencies_OfTheCore(t *testing.T) {
	allowed := []string{self, "golang.org/x/sys", "github.com/goccy/go-json"}
	core := []string{".", "./engine/...", "./middleware/recovery", "./middleware/logger", "./middleware/sse", "./middleware/store"}
	entries, err := os.ReadDir("internal")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "wsproto" {
			core = append(core, "./internal/"+e.Name()+"/...")
		}
	}
	deps := links(t, allowed, core...)
	for _, want := range []string{self, self + "/internal/exchange", self + "/middleware/sse", self + "/middleware/store"} {
		if !slices.Contains(deps, want) {
			t.Errorf("go list left out %s: %q", want, deps)
		}
	}
}

// WebSocket has the core's dependencies and a compressor.
func TestDependencies_OfWebSocket(t *testing.T) {
	links(t, []string{self, "golang.org/x/sys", "github.com/goccy/go-json", "github.com/klauspost/compress"}, "./internal/wsproto", "./middleware/websocket")
}

// links returns what packages link beside the standard library, and fails for what isn't in an allowed module.
func links(t *testing.T, allowed []string, packages ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}, packages...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	deps := strings.Fields(string(out))
	for _, dep := range deps {
		if !slices.ContainsFunc(allowed, func(m string) bool { return dep == m || strings.HasPrefix(dep, m+"/") }) {
			t.Errorf("%q link %s: only %s and the standard library are allowed", packages, dep, strings.Join(allowed, ", "))
		}
		if dep == self+"/celeristest" {
			t.Errorf("%q link %s, which is for tests and imports package testing", packages, dep)
		}
	}
	return deps
}
