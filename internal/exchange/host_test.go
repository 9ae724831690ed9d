package exchange_test

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/internal/exchange"
)

type nullStream struct{ _ int }

func (*nullStream) Drain(error)           {}
func (*nullStream) Cut(error)             {}
func (*nullStream) Done() <-chan struct{} { return nil }

func TestHost_KnowsItsStreams(t *testing.T) {
	var h exchange.Host
	a, b := new(nullStream), new(nullStream)
	for _, s := range []*nullStream{a, b} {
		if err := h.Add(s, netip.Addr{}); err != nil {
			t.Fatal(err)
		}
	}
	h.Remove(a)
	h.Remove(a)
	if got := h.Len(); got != 1 || h.Draining() {
		t.Errorf("Len() = %d, Draining() = %v, want 1, false", got, h.Draining())
	}
	if open := h.Drain(); len(open) != 1 || open[0] != b || !h.Draining() {
		t.Errorf("Drain() = %v, want the one that is open", open)
	}
	if err := h.Add(a, netip.Addr{}); !errors.Is(err, exchange.ErrDraining) || h.Len() != 1 {
		t.Errorf("Add while draining: %v, want ErrDraining", err)
	}
	if open := h.Drain(); len(open) != 1 {
		t.Errorf("second Drain() = %v, want the same stream", open)
	}
}

func TestHost_CountsRunningCode(t *testing.T) {
	var h exchange.Host
	a1, a2, b := h.Enter("a"), h.Enter("a"), h.Enter("b")
	if got, want := h.Running(), map[string]int{"a": 2, "b": 1}; !maps.Equal(got, want) {
		t.Errorf("Running() = %v, want %v", got, want)
	}
	a1()
	b()
	if got, want := h.Running(), map[string]int{"a": 1}; !maps.Equal(got, want) {
		t.Errorf("Running() = %v, want %v", got, want)
	}
	a2()
	if got := h.Running(); len(got) != 0 {
		t.Errorf("Running() = %v, want none", got)
	}
}

func TestHost_WaitsForStreamsAndCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h exchange.Host
		s := new(nullStream)
		if err := h.Add(s, netip.Addr{}); err != nil {
			t.Fatal(err)
		}
		leave := h.Enter("a")
		time.AfterFunc(time.Second, func() { h.Remove(s) })
		time.AfterFunc(2*time.Second, leave)
		start := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if err := h.Wait(t.Context()); err != nil || time.Since(start) != 2*time.Second {
					t.Errorf("Wait = %v after %v, want nil after 2s", err, time.Since(start))
				}
			})
		}
		wg.Wait()
	})
}

func TestHost_WaitEndsWithItsContext(t *testing.T) {
	var h exchange.Host
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := h.Wait(ctx); err != nil {
		t.Errorf("Wait for nothing = %v, want nil", err)
	}
	defer h.Enter("a")()
	if err := h.Wait(ctx); !errors.Is(err, cause) {
		t.Errorf("Wait = %v, want the cause", err)
	}
}
