// Package leak finds goroutines that tests leave behind.
package leak

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long goroutines that are about to end may take for it.
const patience = 5 * time.Second

// Main is for TestMain: it runs the tests and fails the run if they leave goroutines behind.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main but for the end of the process, and returns the status to exit with.
func Run(m *testing.M) int {
	code := m.Run()
	if left := Left(nil, patience); code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines were left behind:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = 1
	}
	return code
}

// Check fails t at its end if goroutines are left that did not run when Check was called. It is not for tests that run
// beside others.
func Check(t testing.TB) {
	t.Helper()
	before := Running()
	t.Cleanup(func() {
		if left := Left(before, patience); len(left) > 0 {
			t.Errorf("%d goroutines were left behind:\n\n%s", len(left), strings.Join(left, "\n\n"))
		}
	})
}

// Running returns the goroutines of this moment, but for the caller's and those of package testing.
func Running() []string {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	var all []string
	for i, b := range bytes.Split(bytes.TrimSpace(buf), []byte("\n\n")) {
		if s := string(b); i > 0 && !ours(s) {
			all = append(all, s)
		}
	}
	return all
}

// ours reports whether a goroutine belongs to the running of tests.
func ours(stack string) bool {
	for _, mark := range []string{
		"\ntesting.Main(", "\ntesting.(*M).", "\ntesting.(*T).Run(", "\ntesting.runTests", "\ntesting.runFuzzing(",
		"created by testing.runTests", "created by testing.(*M).startAlarm", "created by os/signal.Notify",
		"created by runtime.", "\nruntime/pprof.",
	} {
		if strings.Contains(stack, mark) {
			return true
		}
	}
	return false
}

// Left returns the goroutines that are not among before and do not end within the given time.
func Left(before []string, wait time.Duration) []string {
	known := make(map[string]bool)
	for _, s := range before {
		known[id(s)] = true
	}
	for end, pause := time.Now().Add(wait), time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		left := slices.DeleteFunc(Running(), func(s string) bool { return known[id(s)] })
		if len(left) == 0 || !time.Now().Before(end) {
			return left
		}
		time.Sleep(pause)
	}
}

// id is the number of a goroutine as its stack names it.
func id(stack string) string {
	name, _, _ := strings.Cut(stack, " [")
	return name
}
