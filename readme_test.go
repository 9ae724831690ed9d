package celeris_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The first program of the README is an example that is compiled with the tests.
func TestREADME_ShowsTheProgramThatIsCompiled(t *testing.T) {
	const file = "middleware/sse/example_first_test.go"
	example := strings.NewReplacer(
		"package sse_test\n", "package main\n",
		"func Example_first() {\n", "func main() {\n",
	).Replace(read(t, file))

	_, rest, found := strings.Cut(read(t, "README.md"), "\n```go\n")
	program, _, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		t.Fatal("README.md has no Go program")
	}
	if program != example {
		t.Errorf("the Go program in README.md differs from %s:\n%s\nwant:\n%s", file, program, example)
	}
	if lines := strings.Count(program, "\n"); lines > 25 {
		t.Errorf("the first program has %d lines, want at most 25", lines)
	}
}

func read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The log lines of the server and its middleware are those that docs/observability.md lists.
func TestObservability_ListsEveryLogLine(t *testing.T) {
	message := regexp.MustCompile(`(?:LogAttrs\([^"]*slog\.Level\w+, |level, message :?= slog\.Level\w+, |message = |\.write\(slog\.Level\w+, |c\.log\(slog\.Level\w+, )"([^"]+)"`)
	page := read(t, "docs/observability.md")
	found := 0
	for _, dir := range []string{".", "engine", "internal", "middleware"} {
		err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && dir == "." && path != ".":
				return fs.SkipDir
			case strings.HasSuffix(path, "_test.go") || !strings.HasSuffix(path, ".go"):
				return nil
			}
			for _, m := range message.FindAllStringSubmatch(read(t, filepath.Join(dir, path)), -1) {
				found++
				if !strings.Contains(page, "| `"+m[1]+"` |") {
					t.Errorf("%s logs %q, which docs/observability.md doesn't list", filepath.Join(dir, path), m[1])
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 15 {
		t.Errorf("found %d lines only", found)
	}
}
