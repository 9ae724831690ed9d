package gotest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Report counts test results and prints them as go test does without -v: one line per package, the whole
// output of what failed, and the reason of what was skipped. A subtest counts as a test. The zero Report
// is ready; it may collect several runs, one after the other.
type Report struct {
	// Passed, Failed and Skipped are numbers of tests. A package that failed without a failing test, for
	// instance because it doesn't compile, counts as one failed test.
	Passed, Failed, Skipped int

	packages map[string]*result
}

// result is what is known about a package whose run has not ended.
type result struct {
	tests  map[string]*test
	order  []*test
	failed bool
	output strings.Builder // what belongs to no test
}

type test struct {
	action string // how it ended; empty while it runs
	output strings.Builder
}

// event is a line of go test -json (go doc test2json, go help buildjson).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// String is the line that ends a test run: "3 passed, 0 failed, 1 skipped".
func (r *Report) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", r.Passed, r.Failed, r.Skipped)
}

// Run runs go test with args in dir and prints its results to w. It fails if go test does; then at least
// one test more is counted as failed.
func (r *Report) Run(ctx context.Context, w io.Writer, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("gotest: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("gotest: %w", err)
	}
	failed := r.Failed
	readErr := r.Read(stdout, w)
	if readErr != nil {
		// Nobody reads on: without this go test would wait for ever.
		_ = stdout.Close()
	}
	err = errors.Join(readErr, cmd.Wait())
	if err != nil {
		if r.Failed == failed {
			r.Failed++
		}
		return fmt.Errorf("gotest: go test in %s: %w", dir, err)
	}
	return nil
}

// Read takes the output of go test -json from events and prints the results to w. Lines that are not JSON
// are passed on. A failing test is not an error of Read.
func (r *Report) Read(events io.Reader, w io.Writer) error {
	r.packages = make(map[string]*result)
	out := bufio.NewWriter(w)
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.add(out, e)
			} else {
				_, _ = out.Write(line)
			}
			if ferr := out.Flush(); ferr != nil {
				return fmt.Errorf("gotest: print results: %w", ferr)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("gotest: read results: %w", err)
		}
	}
	for name := range r.packages { // go test itself was ended
		r.end(out, name, "fail")
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("gotest: print results: %w", err)
	}
	return nil
}

func (r *Report) add(out *bufio.Writer, e event) {
	if e.Action == "build-output" {
		_, _ = out.WriteString(e.Output)
		return
	}
	if e.Package == "" {
		return
	}
	pkg := r.packages[e.Package]
	if pkg == nil {
		pkg = &result{tests: make(map[string]*test)}
		r.packages[e.Package] = pkg
	}
	if e.Test == "" {
		switch e.Action {
		case "output":
			pkg.output.WriteString(e.Output)
		case "pass", "fail", "skip":
			r.end(out, e.Package, e.Action)
		}
		return
	}
	tst := pkg.tests[e.Test]
	if tst == nil {
		tst = new(test)
		pkg.tests[e.Test] = tst
		pkg.order = append(pkg.order, tst)
	}
	switch e.Action {
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") {
			tst.output.WriteString(e.Output)
		}
	case "pass":
		r.Passed++
		tst.action = e.Action
		tst.output.Reset()
	case "skip":
		r.Skipped++
		tst.action = e.Action
	case "fail":
		r.Failed++
		tst.action = e.Action
		pkg.failed = true
	}
}

// end prints a package and forgets it.
func (r *Report) end(out *bufio.Writer, name, action string) {
	pkg := r.packages[name]
	delete(r.packages, name)
	for _, tst := range pkg.order {
		if tst.action == "" && action == "fail" { // a panic or the time limit ended it
			r.Failed++
			pkg.failed = true
		}
		_, _ = out.WriteString(tst.output.String())
	}
	if action == "fail" {
		if !pkg.failed {
			r.Failed++
		}
		_, _ = out.WriteString(pkg.output.String())
		return
	}
	for line := range strings.Lines(pkg.output.String()) {
		if strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t") {
			_, _ = out.WriteString(line)
		}
	}
}
