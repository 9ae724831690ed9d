package enginetest

import (
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// The table of the package's documentation names the tests, and only them, in their order.
func TestDoc_NamesTheRules(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(f.Doc.Text(), "What it pins\n")
	if !ok {
		t.Fatal("there is no table")
	}
	var got, want []string
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 1 {
			got = append(got, fields[0])
		}
	}
	for _, r := range rules {
		want = append(want, r.name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the table names %q, the rules are %q", got, want)
	}
}
