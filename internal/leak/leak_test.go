package leak_test

import (
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris/internal/leak"
)

func stayUntil(begun chan<- struct{}, end <-chan struct{}) {
	close(begun)
	<-end
}

func TestLeft_NamesWhatStays(t *testing.T) {
	before := leak.Running()
	begun, end := make(chan struct{}), make(chan struct{})
	go stayUntil(begun, end)
	<-begun
	left := leak.Left(before, 0)
	if len(left) != 1 || !strings.Contains(left[0], "stayUntil") {
		t.Errorf("left behind: %q, want the one in stayUntil", left)
	}
	if left := leak.Left(append(before, left...), 0); len(left) != 0 {
		t.Errorf("left behind: %q, want none besides those known", left)
	}
	close(end)
	if left := leak.Left(before, leakPatience); len(left) != 0 {
		t.Errorf("left behind: %q, want none", left)
	}
}

func TestCheck_PassesATestThatLeavesNothing(t *testing.T) {
	rec := &recorder{TB: t}
	leak.Check(rec)
	rec.run()
	if rec.failed {
		t.Error("failed without reason")
	}
}

const leakPatience = 5 * time.Second

// recorder is a test that notes its failure.
type recorder struct {
	testing.TB
	cleanups []func()
	failed   bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Cleanup(f func())      { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) run() {
	for _, f := range r.cleanups {
		f()
	}
}
