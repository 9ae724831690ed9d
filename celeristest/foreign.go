package celeristest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	foreignDrain = 10 * time.Second
	foreignGrace = 500 * time.Millisecond
)

var errCut = errors.New("celeristest: the server was shut down")

// foreign serves a handler that is no celeris.Server.
type foreign struct {
	http *http.Server
	base context.Context // of all requests
	cut  context.CancelCauseFunc

	mu      sync.Mutex     // guards what follows
	running map[string]int // requests by method and path
	changed chan struct{}  // closed and replaced when one ends
}

func newForeign(h http.Handler, logs io.Writer) *foreign {
	f := &foreign{running: make(map[string]int), changed: make(chan struct{})}
	f.base, f.cut = context.WithCancelCause(context.Background())
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	f.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer f.enter(r.Method + " " + r.URL.Path)()
			h.ServeHTTP(w, r)
		}),
		Protocols:   protocols,
		BaseContext: func(net.Listener) context.Context { return f.base },
		ErrorLog:    log.New(logs, "", 0),
	}
	return f
}

// enter counts a request; the returned function ends it.
func (f *foreign) enter(name string) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running[name]++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.running[name]--; f.running[name] == 0 {
			delete(f.running, name)
		}
		close(f.changed)
		f.changed = make(chan struct{})
	}
}

// Serve implements server.
func (f *foreign) Serve(_ context.Context, l net.Listener) error { return f.http.Serve(l) }

// Shutdown implements server.
func (f *foreign) Shutdown(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, foreignDrain)
		defer cancel()
	}
	err := f.http.Shutdown(ctx)
	if left := f.wait(ctx); left != "" { // a request whose connection was hijacked is unknown to http.Server
		err = fmt.Errorf("celeristest: shutdown cut requests in progress: %s: %w", left, context.Cause(ctx))
	}
	f.cut(errCut)
	_ = f.http.Close() // the listener is closed already
	if err == nil {
		return nil
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), foreignGrace)
	defer cancel()
	if left := f.wait(grace); left != "" {
		return fmt.Errorf("celeristest: handlers still run after their contexts have ended: %s: %w", left, context.Cause(ctx))
	}
	return err
}

// wait waits until no request runs, and returns which do when ctx ends before that.
func (f *foreign) wait(ctx context.Context) string {
	for {
		f.mu.Lock()
		changed, running := f.changed, maps.Clone(f.running)
		f.mu.Unlock()
		if len(running) == 0 {
			return ""
		}
		select {
		case <-changed:
		case <-ctx.Done():
			var names []string
			for _, name := range slices.Sorted(maps.Keys(running)) {
				names = append(names, fmt.Sprintf("%q (%d)", name, running[name]))
			}
			return strings.Join(names, ", ")
		}
	}
}
