package websocket

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"strconv"
	"time"
)

// Defaults of [RedialOptions].
const (
	DefaultMinPause = 500 * time.Millisecond
	DefaultMaxPause = 30 * time.Second
)

// RedialOptions configure [Redial]. The zero value is ready.
type RedialOptions struct {
	// Dial is for each attempt. It may be nil.
	Dial *DialOptions
	// MinPause is about how long Redial waits before it dials again. It doubles with each attempt that fails, and with
	// each connection that lasts no longer than it. Zero means 500 ms.
	MinPause time.Duration
	// MaxPause is the most that it waits, but for a server that says Retry-After. Zero means 30 s.
	MaxPause time.Duration
}

// Redial yields one connection after the other, or the error of an attempt that failed; the next attempt follows when the
// body of the loop is done with it. A connection that is not closed then is closed with 1000. The sequence ends when ctx
// does, or with the loop: which errors are worth another attempt is the caller's decision. opts may be nil.
//
// Pauses are random, between half and all of what is due, so that the clients of a server that restarts don't come back
// all at once.
func Redial(ctx context.Context, url string, opts *RedialOptions) iter.Seq2[*Conn, error] {
	if opts == nil {
		opts = &RedialOptions{}
	}
	least := cmp.Or(opts.MinPause, DefaultMinPause)
	most := max(least, cmp.Or(opts.MaxPause, DefaultMaxPause))
	return func(yield func(*Conn, error) bool) {
		pause := least
		for ctx.Err() == nil {
			c, err := Dial(ctx, url, opts.Dial)
			if err != nil && ctx.Err() != nil {
				return
			}
			begin := time.Now()
			if !use(c, err, yield) {
				return
			}
			if err == nil && time.Since(begin) > pause {
				pause = least
			}
			wait := max(pause/2+rand.N(pause/2+1), retryAfter(err)) //nolint:gosec // no secret
			pause = min(2*pause, most)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
		}
	}
}

// use yields a connection and closes it.
func use(c *Conn, err error, yield func(*Conn, error) bool) bool {
	if c != nil {
		defer func() { _ = c.Close(StatusNormalClosure, "") }() // it may be over
	}
	return yield(c, err)
}

// retryAfter is when a server that refused wants to be asked again: no more than an hour, in seconds.
func retryAfter(err error) time.Duration {
	e, ok := errors.AsType[*HandshakeError](err)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(e.Response.Header.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(min(n, 3600)) * time.Second
}
