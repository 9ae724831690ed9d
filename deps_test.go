package celeris_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The core links the standard library and two modules, and nothing else; what speaks WebSocket links a third one.
func TestDependencies_OfTheCore(t *testing.T) {
	const self = "github.com/goceleris/celeris"
	allowed := []string{self, "golang.org/x/sys", "github.com/goccy/go-json"}
	links(t, append(allowed, "github.com/klauspost/compress"), "./internal/wsproto", "./middleware/websocket")
	core := []string{".", "./engine/...", "./middleware/recovery", "./middleware/logger"}
	entries, err := os.ReadDir("internal")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "wsproto" {
			core = append(core, "./internal/"+e.Name()+"/...")
		}
	}
	for _, dir := range []string{"middleware/sse"} {
		if files, _ := os.ReadDir(dir); slices.ContainsFunc(files, func(f os.DirEntry) bool { return strings.HasSuffix(f.Name(), ".go") }) {
			core = append(core, "./"+dir)
		}
	}
	deps := links(t, allowed, core...)
	if !slices.Contains(deps, self) || !slices.Contains(deps, self+"/internal/exchange") {
		t.Errorf("go list left out what it was asked for: %q", deps)
	}
}

// links returns what packages link beside the standard library, and reports what is not below one of the allowed paths.
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
		if strings.HasSuffix(dep, "/celeristest") {
			t.Errorf("%q link %s, which is for tests and imports package testing", packages, dep)
		}
	}
	return deps
}
