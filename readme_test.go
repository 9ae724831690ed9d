package celeris_test

import (
	"os"
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
