package gotest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport_PrintsPackagesFailuresAndReasonsOfSkips(t *testing.T) {
	const events = `
{"Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestGood"}
{"Action":"output","Package":"m/a","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"output","Package":"m/a","Test":"TestGood","Output":"    a_test.go:3: chatter\n"}
{"Action":"output","Package":"m/a","Test":"TestGood","Output":"--- PASS: TestGood (0.00s)\n"}
{"Action":"pass","Package":"m/a","Test":"TestGood","Elapsed":0}
{"Action":"run","Package":"m/b","Test":"TestBad"}
{"Action":"output","Package":"m/b","Test":"TestBad","Output":"=== RUN   TestBad\n"}
{"Action":"output","Package":"m/b","Test":"TestBad","Output":"    b_test.go:9: got 1, want 2\n"}
{"Action":"output","Package":"m/a","Test":"TestAway","Output":"    a_test.go:7: no browser\n"}
{"Action":"output","Package":"m/a","Test":"TestAway","Output":"--- SKIP: TestAway (0.00s)\n"}
{"Action":"skip","Package":"m/a","Test":"TestAway","Elapsed":0}
{"Action":"output","Package":"m/a","Output":"PASS\n"}
{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t0.010s\n"}
{"Action":"pass","Package":"m/a","Elapsed":0.01}
{"Action":"output","Package":"m/b","Test":"TestBad","Output":"--- FAIL: TestBad (0.00s)\n"}
{"Action":"fail","Package":"m/b","Test":"TestBad","Elapsed":0}
{"Action":"output","Package":"m/b","Output":"FAIL\n"}
{"Action":"output","Package":"m/b","Output":"FAIL\tm/b\t0.020s\n"}
{"Action":"fail","Package":"m/b","Elapsed":0.02}
{"Action":"output","Package":"m/c","Output":"?   \tm/c\t[no test files]\n"}
{"Action":"skip","Package":"m/c","Elapsed":0}
{"ImportPath":"m/d","Action":"build-output","Output":"d/d.go:1:1: syntax error\n"}
{"ImportPath":"m/d","Action":"build-fail"}
{"Action":"output","Package":"m/d","Output":"FAIL\tm/d [build failed]\n"}
{"Action":"fail","Package":"m/d","Elapsed":0,"FailedBuild":"m/d"}
{"Action":"output","Package":"m/e","Test":"TestCut","Output":"panic: boom\n"}
{"Action":"output","Package":"m/e","Output":"FAIL\tm/e\t0.1s\n"}
{"Action":"fail","Package":"m/e","Elapsed":0.1}
no JSON, passed on
{"Action":"output","Package":"m/f","Test":"TestKilled","Output":"    f_test.go:1: last words\n"}`
	const want = `    a_test.go:7: no browser
--- SKIP: TestAway (0.00s)
ok  	m/a	0.010s
    b_test.go:9: got 1, want 2
--- FAIL: TestBad (0.00s)
FAIL
FAIL	m/b	0.020s
?   	m/c	[no test files]
d/d.go:1:1: syntax error
FAIL	m/d [build failed]
panic: boom
FAIL	m/e	0.1s
no JSON, passed on
    f_test.go:1: last words
`
	var report Report
	var out bytes.Buffer
	if err := report.Read(strings.NewReader(strings.TrimPrefix(events, "\n")), &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("printed:\n%s\nwant:\n%s", out.String(), want)
	}
	if got, want := report.String(), "1 passed, 4 failed, 1 skipped"; got != want {
		t.Errorf("counts = %q, want %q", got, want)
	}
}

func TestReport_ReportsAnOutputThatCannotBeWritten(t *testing.T) {
	wantErr := errors.New("disk full")
	var report Report
	err := report.Read(strings.NewReader("text\n"), writerFunc(func([]byte) (int, error) { return 0, wantErr }))
	if !errors.Is(err, wantErr) {
		t.Errorf("Read = %v, want %v", err, wantErr)
	}
}

func TestReport_RunsGoTest(t *testing.T) {
	tests := []struct {
		name, file, source string
		counts             string
		printed            string
		fails              bool
	}{
		{
			name: "pass", file: "a_test.go", counts: "2 passed, 0 failed, 1 skipped", printed: "ok  \texample.test/m\t",
			source: "package m\nimport \"testing\"\nfunc TestA(t *testing.T) { t.Run(\"sub\", func(t *testing.T) {}) }\n" +
				"func TestB(t *testing.T) { t.Skip(\"no service\") }\n",
		},
		{
			name: "fail", file: "a_test.go", counts: "0 passed, 1 failed, 0 skipped", printed: "no luck", fails: true,
			source: "package m\nimport \"testing\"\nfunc TestA(t *testing.T) { t.Fatal(\"no luck\") }\n",
		},
		{
			name: "panic", file: "a_test.go", counts: "0 passed, 1 failed, 0 skipped", printed: "panic: boom", fails: true,
			source: "package m\nimport \"testing\"\nfunc TestA(t *testing.T) { panic(\"boom\") }\n",
		},
		{
			name: "exit", file: "a_test.go", counts: "0 passed, 1 failed, 0 skipped", printed: "FAIL", fails: true,
			source: "package m\nimport (\"os\"; \"testing\")\nfunc TestMain(*testing.M) { os.Exit(3) }\n",
		},
		{
			name: "build", file: "a.go", counts: "0 passed, 1 failed, 0 skipped", printed: "undefined: nothing", fails: true,
			source: "package m\nvar _ = nothing\n",
		},
		{
			name: "no package", file: "readme.txt", counts: "0 passed, 1 failed, 0 skipped", fails: true,
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "go.mod"), "module example.test/m\n\ngo 1.26\n")
			write(t, filepath.Join(dir, tc.file), tc.source)
			var report Report
			var out bytes.Buffer
			// The module's own directory: "." of an empty module is an error, ./... is not.
			err := report.Run(t.Context(), &out, dir, ".")
			if (err != nil) != tc.fails {
				t.Errorf("Run = %v, want an error: %t", err, tc.fails)
			}
			if got := report.String(); got != tc.counts {
				t.Errorf("counts = %q, want %q", got, tc.counts)
			}
			if !strings.Contains(out.String(), tc.printed) {
				t.Errorf("printed:\n%s\nwant %q in it", out.String(), tc.printed)
			}
		})
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
