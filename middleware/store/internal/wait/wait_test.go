package wait

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestFor_ReturnsWhenTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		_, err := For(ctx, nil, func() (int, error) { time.Sleep(time.Minute); return 1, nil })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("For = %v after %v, want the context's error after a second", err, time.Since(begin))
		}
		time.Sleep(time.Minute) // the call ends by itself
	})
}

func TestFor_ReturnsWhatTheCallReturns(t *testing.T) {
	for _, ctx := range []context.Context{t.Context(), context.WithoutCancel(t.Context())} {
		if n, err := For(ctx, nil, func() (int, error) { return 1, nil }); n != 1 || err != nil {
			t.Errorf("For = %d, %v", n, err)
		}
		if _, err := For(ctx, nil, func() (int, error) { return 0, errors.ErrUnsupported }); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("For = %v", err)
		}
		func() {
			defer func() {
				if p := recover(); p != "oops" {
					t.Errorf("recovered %v, want the panic of the call", p)
				}
			}()
			For(ctx, make(Limit, 1), func() (int, error) { panic("oops") })
		}()
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := For(ended, nil, func() (int, error) { t.Error("called"); return 0, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("For with a context that has ended = %v", err)
	}
}

// A call that nobody waits for counts until it has ended, and one too many waits with its own context.
func TestFor_Limit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := make(Limit, 2)
		stuck := make(chan struct{})
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			For(ctx, limit, func() (int, error) { <-stuck; panic("seen by nobody") })
			cancel()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := For(ctx, limit, func() (int, error) { t.Error("a third call"); return 0, nil })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("For beyond the limit = %v, want the context's error", err)
		}
		close(stuck)
		synctest.Wait()
		for range 3 {
			if n, err := For(t.Context(), limit, func() (int, error) { return 1, nil }); n != 1 || err != nil {
				t.Errorf("For after all have ended = %d, %v", n, err)
			}
		}
	})
}
