package celeristest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/celeristest"
	"github.com/goceleris/celeris/middleware/sse"
)

// inBubbles runs a test over both protocols, each in a bubble of its own.
func inBubbles(t *testing.T, f func(t *testing.T, o celeristest.Options)) {
	for name, o := range map[string]celeristest.Options{"parked": {}, "HTTP/1.1": {Goroutines: true}, "h2c": {H2C: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, o) })
		})
	}
}

// quiet returns a server that logs nothing.
func quiet() *celeris.Server {
	return celeris.New(celeris.Config{Logger: slog.New(slog.DiscardHandler)})
}

// text is a handler of net/http that sends an event stream of fixed bytes, then waits for the client to leave or for
// the channel; nil means neither.
func text(body string, wait <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		fmt.Fprint(w, body)
		if wait == nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-wait:
		case <-r.Context().Done():
		}
	}
}

// datas are the data of events.
func datas(events []sse.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, e.Data)
	}
	return strings.Join(all, " ")
}

func is(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// trial is a test inside a test, whose failures are wanted.
type trial struct {
	testing.TB
	ctx      context.Context
	failures []string
	cleanups []func()
}

// try runs f as a test of its own and returns its failures.
func try(t *testing.T, f func(t testing.TB)) []string {
	tr := &trial{TB: t}
	var end context.CancelFunc
	tr.ctx, end = context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(tr)
	}()
	<-done
	end()
	for len(tr.cleanups) > 0 {
		last := len(tr.cleanups) - 1
		f := tr.cleanups[last]
		tr.cleanups = tr.cleanups[:last]
		f()
	}
	return tr.failures
}

func (t *trial) Helper()                  {}
func (t *trial) Context() context.Context { return t.ctx }
func (t *trial) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }

func (t *trial) Errorf(format string, args ...any) {
	t.failures = append(t.failures, fmt.Sprintf(format, args...))
}

func (t *trial) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

func (t *trial) Fatal(args ...any) { t.Fatalf("%s", fmt.Sprint(args...)) }

// wantFailure checks that there is one failure, and that it says all of want.
func wantFailure(t *testing.T, failures []string, want ...string) {
	t.Helper()
	if len(failures) != 1 {
		t.Fatalf("failures %q, want one", failures)
	}
	for _, w := range want {
		if !strings.Contains(failures[0], w) {
			t.Errorf("failure %q, want one with %q", failures[0], w)
		}
	}
}
