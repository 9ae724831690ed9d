package gotest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestModules_FindsNestedOnesAndPassesOverForeignOnes(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{
		"go.mod", "main.go",
		"tools/go.mod", // pins tools, has no source
		"test/fixtures/go.mod", "test/fixtures/sub/a_test.go",
		"test/fixtures/inner/go.mod", "test/fixtures/inner/a.go",
		"test/fixtures-more/go.mod", // must not be taken for a part of test/fixtures
		"testdata/go.mod", "testdata/a.go",
		"test/browser/node_modules/x/go.mod", "test/browser/node_modules/x/a.go",
		".cache/go.mod", ".cache/a.go",
		"_old/go.mod", "_old/a.go",
	} {
		touch(t, filepath.Join(root, name))
	}

	got, err := Modules(root)
	if err != nil {
		t.Fatal(err)
	}
	for i, dir := range got {
		if got[i], err = filepath.Rel(root, dir); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{".", "test/fixtures", "test/fixtures/inner"}
	if !slices.Equal(got, want) {
		t.Errorf("Modules = %q, want %q", got, want)
	}

	t.Chdir(root)
	if got, err = Modules("."); err != nil || !slices.Equal(got, want) {
		t.Errorf("Modules(%q) = %q, %v, want %q", ".", got, err, want)
	}
}

func TestModules_ReportsAMissingRoot(t *testing.T) {
	if got, err := Modules(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Errorf("Modules = %q, want an error", got)
	}
}

func touch(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}
