//go:build linux

package sockets

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/goceleris/celeris/internal/leak"
)

func entries(t testing.TB, dir string) int {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestCount_ThousandsOfVisitsLeaveNothing(t *testing.T) {
	over(t, plain, func(t *testing.T, w way) {
		visits := 2000
		if testing.Short() {
			visits = 400
		}
		s := w.serve(t, options{})
		s.open(t, ask{}) // with it everything is there that lasts
		s.subscribers(1)
		fds, goroutines := entries(t, "/proc/self/fd"), leak.Running()
		todo := make(chan int)
		var workers sync.WaitGroup
		for range 16 {
			workers.Go(func() {
				for n := range todo {
					c, err := s.dial(t.Context(), ask{})
					if err != nil {
						t.Error(err)
						continue
					}
					if n%2 == 0 {
						_, _ = c.read(1)
					}
					c.reset() // a port that waits is one that the next visit can't use
				}
			})
		}
		for n := range visits {
			if n%50 == 0 {
				s.publish(strconv.Itoa(n))
			}
			todo <- n
		}
		close(todo)
		workers.Wait()
		// One that was reset early never became a stream.
		s.subscribers(1)
		s.settle(1)
		reach(t, "descriptors as before", func() bool { return entries(t, "/proc/self/fd") <= fds })
		if left := leak.Left(goroutines, patience); len(left) > 0 {
			t.Errorf("%d goroutines left: %s", len(left), left[0])
		}
		if n := len(s.ended()); n < visits/2 {
			t.Errorf("%d streams have ended, %d were read from", n, visits/2)
		}
	})
}

func TestCount_ParkedStreamsHaveNoGoroutineAndNoThread(t *testing.T) {
	const streams = 1000
	over(t, slices.Concat(parked, secure), func(t *testing.T, w way) {
		s := w.serve(t, options{})
		for range 16 { // what connecting takes is there from here on
			s.open(t, ask{})
		}
		s.subscribers(16)
		s.settle(16)
		goroutines := 0
		reach(t, "quiet", func() bool { // the goroutines of the requests have ended
			goroutines = runtime.NumGoroutine()
			return !strings.Contains(strings.Join(leak.Running(), ""), "net/http.(*conn).serve")
		})
		threads := entries(t, "/proc/self/task")
		var open []*stream
		for n := range streams {
			open = append(open, s.open(t, ask{}))
			if n%100 == 99 {
				s.settle(16 + n + 1)
			}
		}
		reach(t, "no more goroutines than before", func() bool { return runtime.NumGoroutine() <= goroutines })
		s.publish("to all")
		for _, c := range open {
			if b := c.event(t); b.data != "to all" {
				t.Fatalf("got %+v", b)
			}
		}
		// Threads that were made for the dialing and the accepting stay; they are few.
		if n := entries(t, "/proc/self/task"); n > threads+8 {
			t.Errorf("%d threads with %d streams more, %d before", n, streams, threads)
		}
	})
}
