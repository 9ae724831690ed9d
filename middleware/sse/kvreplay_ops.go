package sse

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/goceleris/celeris/middleware/store"
)

// kvGets is how many values are asked for at a time from a KV that can't return many.
const kvGets = 8

// kvOps is a KV with the abilities it has.
type kvOps struct {
	store.KV
	counter store.Counter
	nx      store.SetNXer
	many    store.MultiGetter
}

func newKVOps(kv store.KV) kvOps {
	o := kvOps{KV: kv}
	o.counter, _ = kv.(store.Counter)
	o.nx, _ = kv.(store.SetNXer)
	o.many, _ = kv.(store.MultiGetter)
	return o
}

// get returns nil for a key without a value.
func (o kvOps) get(ctx context.Context, key string) ([]byte, error) {
	value, err := o.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err == nil && value == nil {
		value = []byte{}
	}
	return value, err
}

// getAll returns the values in the order of their keys, nil for a key without.
func (o kvOps) getAll(ctx context.Context, keys ...string) ([][]byte, error) {
	if o.many != nil {
		values, err := o.many.MGet(ctx, keys...)
		if err == nil && len(values) != len(keys) {
			return nil, errors.New("MGet returned another number of values than keys")
		}
		return values, err
	}
	values := make([][]byte, len(keys))
	if len(keys) == 1 {
		var err error
		values[0], err = o.get(ctx, keys[0])
		return values, err
	}
	err := each(ctx, kvGets, len(keys), func(ctx context.Context, i int) (err error) {
		values[i], err = o.get(ctx, keys[i])
		return err
	})
	return values, err
}

// setNew sets what isn't there, and reports whether it did. Without [store.SetNXer] that is only right as long as
// nobody else writes the key.
func (o kvOps) setNew(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if o.nx != nil {
		return o.nx.SetNX(ctx, key, value, ttl)
	}
	if got, err := o.get(ctx, key); err != nil || got != nil {
		return false, err
	}
	return true, o.Set(ctx, key, value, ttl)
}

// each calls f for 0 to n-1, at most limit at a time, until one fails, and returns the first error.
func each(ctx context.Context, limit, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(limit, n) {
		wg.Go(func() {
			for i := range next {
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}
