package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/internal/exchange"
	"github.com/goceleris/celeris/internal/leak"
)

// script is calls that are noted when they begin and end when they are told to.
type script struct {
	mu    sync.Mutex // guards began
	began []int
	end   []chan struct{}
}

// call makes n calls for route.
func (s *script) call(h *exchange.Host, route string, n int) {
	for range n {
		i, end := len(s.end), make(chan struct{})
		s.end = append(s.end, end)
		h.Call(route, func() {
			s.mu.Lock()
			s.began = append(s.began, i)
			s.mu.Unlock()
			<-end
		})
	}
}

// want checks, when everything has come to rest, which calls have begun, and what the host says of the others.
func (s *script) want(t *testing.T, h *exchange.Host, running, waiting int, began ...int) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	got := slices.Clone(s.began)
	s.mu.Unlock()
	if slices.Sort(got[:min(len(got), h.MaxCallbacks)]); !slices.Equal(got, began) { // those before have no order
		t.Errorf("calls that have begun: %v, want %v", got, began)
	}
	if r, w := h.Callbacks(); r != running || w != waiting {
		t.Errorf("Callbacks() = %d, %d, want %d, %d", r, w, running, waiting)
	}
}

func TestCall_IsBoundedAndFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := exchange.Host{MaxCallbacks: 3}, new(script)
		for range 2 { // goroutines end and begin again
			*s = script{}
			s.call(&h, "a", 2)
			s.want(t, &h, 2, 0, 0, 1)
			s.call(&h, "b", 4)
			s.want(t, &h, 3, 3, 0, 1, 2)
			if got, want := h.Running(), map[string]int{"a": 2, "b": 4}; !maps.Equal(got, want) {
				t.Errorf("Running() = %v, want %v", got, want)
			}
			close(s.end[1])
			s.want(t, &h, 3, 2, 0, 1, 2, 3)
			close(s.end[3])
			s.want(t, &h, 3, 1, 0, 1, 2, 3, 4)
			s.call(&h, "a", 1)
			s.want(t, &h, 3, 2, 0, 1, 2, 3, 4)
			close(s.end[0])
			s.want(t, &h, 3, 1, 0, 1, 2, 3, 4, 5)
			close(s.end[2])
			close(s.end[4])
			s.want(t, &h, 2, 0, 0, 1, 2, 3, 4, 5, 6)
			close(s.end[5])
			close(s.end[6])
			s.want(t, &h, 0, 0, 0, 1, 2, 3, 4, 5, 6)
			if err := h.Wait(t.Context()); err != nil {
				t.Errorf("Wait = %v, want nil: nothing is left", err)
			}
		}
	})
}

func TestCall_MayEndItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := exchange.Host{MaxCallbacks: 1}
		var got []int
		for i := range 6 {
			h.Call("a", func() {
				got = append(got, i)
				if i%2 == 0 {
					runtime.Goexit()
				}
			})
		}
		if err := h.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := []int{0, 1, 2, 3, 4, 5}; !slices.Equal(got, want) {
			t.Errorf("calls %v, want %v", got, want)
		}
		if r, w := h.Callbacks(); r != 0 || w != 0 {
			t.Errorf("Callbacks() = %d, %d, want none", r, w)
		}
	})
}

func TestCall_MayCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h exchange.Host // one at a time
		left := 3
		var again func()
		again = func() {
			if left--; left > 0 {
				h.Call(fmt.Sprint(left), again)
			}
		}
		h.Call("", again)
		if err := h.Wait(t.Context()); err != nil || left != 0 {
			t.Errorf("Wait = %v with %d calls left, want nil with none", err, left)
		}
	})
}

func TestCall_ThatWaitsIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := exchange.Host{MaxCallbacks: 1}, new(script)
		s.call(&h, "stuck", 1)
		s.call(&h, "behind it", 2)
		cause := errors.New("cause")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if err := h.Wait(ctx); !errors.Is(err, cause) {
			t.Errorf("Wait = %v, want the cause", err)
		}
		if got, want := h.Running(), map[string]int{"stuck": 1, "behind it": 2}; !maps.Equal(got, want) {
			t.Errorf("Running() = %v, want %v", got, want)
		}
		for _, end := range s.end {
			close(end)
		}
		s.want(t, &h, 0, 0, 0, 1, 2)
	})
}

func TestCall_ThatTakesTooLongLosesItsPlaceToOneThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := exchange.Host{MaxCallbacks: 2}, new(script)
		s.call(&h, "hangs", 2)
		time.Sleep(2 * time.Minute) // nobody waits for their places
		s.call(&h, "hangs", 1)
		s.want(t, &h, 3, 0, 0, 1, 2)
		s.call(&h, "hangs", 2)
		s.want(t, &h, 4, 1, 0, 1, 2, 3) // as many may be without a place as have one
		close(s.end[2])
		s.want(t, &h, 4, 0, 0, 1, 2, 3, 4)
		s.call(&h, "waits", 1)
		time.Sleep(time.Hour)
		s.want(t, &h, 4, 1, 0, 1, 2, 3, 4)
		close(s.end[0]) // now one of those two may lose its place
		s.want(t, &h, 4, 0, 0, 1, 2, 3, 4, 5)
		for _, i := range []int{1, 3, 4, 5} {
			close(s.end[i])
		}
		s.want(t, &h, 0, 0, 0, 1, 2, 3, 4, 5)
		if err := h.Wait(t.Context()); err != nil {
			t.Errorf("Wait = %v with nothing left", err)
		}
	})
}

func TestCall_KeepsItsPlaceForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := exchange.Host{MaxCallbacks: 1}, new(script)
		s.call(&h, "slow", 1)
		time.Sleep(10 * time.Second)
		s.call(&h, "waits", 1)
		time.Sleep(50*time.Second - 1)
		s.want(t, &h, 1, 1, 0)
		time.Sleep(time.Nanosecond)
		s.want(t, &h, 2, 0, 0, 1)
		close(s.end[0])
		close(s.end[1])
		s.want(t, &h, 0, 0, 0, 1)
	})
}

// waiting is how many goroutines wait for a call.
func waiting() (n int) {
	for _, s := range leak.Running() {
		if strings.Contains(s, "(*Host).await") {
			n++
		}
	}
	return n
}

func TestCall_FindsAGoroutineThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := exchange.Host{MaxCallbacks: 4, Lingers: true}
		var calls sync.WaitGroup
		before := waiting()
		for range 100 {
			calls.Add(2)
			h.Call("a", calls.Done)
			h.Call("b", func() {
				defer calls.Done()
				runtime.Goexit()
			})
			calls.Wait()
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		if n := waiting() - before; n != 1 {
			t.Errorf("%d goroutines wait behind calls one at a time, want the one that did not end", n)
		}
		if r, w := h.Callbacks(); r != 0 || w != 0 || len(h.Running()) != 0 {
			t.Errorf("%d run and %d wait, for %v", r, w, h.Running())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := waiting() - before; n != 0 {
			t.Errorf("%d goroutines wait for ever", n)
		}
		gate := make(chan struct{})
		for range 4 {
			h.Call("a", func() { <-gate })
		}
		close(gate)
		synctest.Wait()
		h.Drain()
		synctest.Wait()
		if n := waiting() - before; n != 0 {
			t.Errorf("%d goroutines wait while the host drains", n)
		}
		called := false
		h.Call("a", func() { called = true })
		synctest.Wait()
		if n := waiting() - before; n != 0 || !called {
			t.Errorf("then: called %v, %d goroutines are left", called, n)
		}
	})
}
