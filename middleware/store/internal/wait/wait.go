// Package wait ends the wait for calls that can't be ended, those of clients that don't listen to a context.
package wait

import (
	"context"
	"fmt"
)

// A Limit bounds the calls that run at the same time, with those that nobody waits for any more. Nil is no bound.
type Limit chan struct{}

// For calls f and returns what it returns, or ctx's error as soon as ctx ends. Then f goes on in its goroutine: it has
// to end by itself, and to touch nothing of the caller's. A panic of f is one of For while somebody waits for it.
func For[T any](ctx context.Context, limit Limit, f func() (T, error)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	if limit != nil {
		select {
		case limit <- struct{}{}:
		case <-ctx.Done():
			return zero, ctx.Err()
		}
	}
	release := func() {
		if limit != nil {
			<-limit
		}
	}
	if ctx.Done() == nil {
		defer release()
		return f()
	}
	type result struct {
		value    T
		err      error
		panicked any
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.panicked = p
			}
			release()
			done <- r
		}()
		r.value, r.err = f()
	}()
	select {
	case r := <-done:
		if r.panicked != nil {
			panic(r.panicked)
		}
		if r.err != nil && ctx.Err() != nil {
			return zero, fmt.Errorf("%w: %w", ctx.Err(), r.err)
		}
		return r.value, r.err
	case <-ctx.Done():
		return zero, ctx.Err()
	}
}

// Copy returns a copy of a value for a call that may outlast its caller's wait.
func Copy(value []byte) []byte { return append(make([]byte, 0, len(value)), value...) }
