package ratelog_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/internal/ratelog"
)

func TestAllow_OncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelog.New(10 * time.Second)
		for _, step := range []struct {
			wait      time.Duration
			swallowed int
			ok        bool
		}{
			{0, 0, true},
			{0, 0, false},
			{9 * time.Second, 0, false},
			{time.Second - 1, 0, false},
			{1, 3, true},
			{10 * time.Second, 0, true},
			{5 * time.Second, 0, false},
			{time.Hour, 1, true},
		} {
			time.Sleep(step.wait)
			if n, ok := l.Allow(time.Now()); n != step.swallowed || ok != step.ok {
				t.Errorf("after %v more: got %d, %v, want %d, %v", step.wait, n, ok, step.swallowed, step.ok)
			}
		}
	})
}

func TestAllow_CountsEveryCall(t *testing.T) {
	const callers, calls = 8, 1000
	l := ratelog.New(time.Minute)
	now := time.Unix(1, 0)
	var through atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range calls {
				if n, ok := l.Allow(now); ok {
					through.Add(1 + int64(n))
				}
			}
		})
	}
	wg.Wait()
	n, ok := l.Allow(now.Add(time.Minute))
	if got := through.Load() + int64(n); !ok || through.Load() != 1 || got != callers*calls {
		t.Errorf("got %d lines and %d swallowed, %v, want 1 and %d", through.Load(), n, ok, callers*calls-1)
	}
}

func TestAllow_ZeroLimiterLetsAllThrough(t *testing.T) {
	var l ratelog.Limiter
	for range 3 {
		if n, ok := l.Allow(time.Unix(0, 0)); n != 0 || !ok {
			t.Errorf("got %d, %v, want 0, true", n, ok)
		}
	}
}
