package celeristest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// Every function in example_test.go is shown in the package's documentation, as it is compiled and run here, and is
// short.
func TestDoc_ShowsTheExamplesThatRun(t *testing.T) {
	const name = "example_test.go"
	source, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		n++
		code := string(source[files.Position(f.Pos()).Offset:files.Position(f.End()).Offset])
		shown := strings.ReplaceAll("//\t"+strings.ReplaceAll(code, "\n", "\n//\t")+"\n", "//\t\n", "//\n")
		if !strings.Contains(string(doc), "//\n"+shown+"//\n") {
			t.Errorf("doc.go doesn't show %s as it is:\n%s", f.Name, shown)
		}
		if lines := strings.Count(code, "\n") + 1; lines > 20 {
			t.Errorf("%s has %d lines, want at most 20", f.Name, lines)
		}
	}
	if want := strings.Count(string(doc), "//\tfunc "); n != want || n < 5 {
		t.Errorf("%s has %d functions, doc.go shows %d", name, n, want)
	}
}
