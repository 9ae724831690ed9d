package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/goceleris/celeris/middleware/store"
)

// calls returns a call of each method that kv has.
func calls(kv store.KV, key string) map[string]func(context.Context) error {
	all := map[string]func(context.Context) error{
		"Get":    func(ctx context.Context) error { _, err := kv.Get(ctx, key); return err },
		"Set":    func(ctx context.Context) error { return kv.Set(ctx, key, []byte("9"), 0) },
		"Delete": func(ctx context.Context) error { return kv.Delete(ctx, key) },
		"Increment": func(ctx context.Context) error {
			_, err := store.Increment(ctx, kv, key, 1, 0)
			return err
		},
		"SetNX": func(ctx context.Context) error {
			_, err := store.SetNX(ctx, kv, key, []byte("9"), 0)
			return err
		},
		"GetAndDelete": func(ctx context.Context) error { _, err := store.GetAndDelete(ctx, kv, key); return err },
		"MGet":         func(ctx context.Context) error { _, err := store.MGet(ctx, kv, key, key); return err },
		"Scan": func(ctx context.Context) (last error) {
			for _, err := range store.Scan(ctx, kv, key) {
				last = err
			}
			return last
		},
		"DeletePrefix": func(ctx context.Context) error { return store.DeletePrefix(ctx, kv, key) },
	}
	for name, ability := range map[string]store.Abilities{
		"Increment": store.CanIncrement, "SetNX": store.CanSetNX, "GetAndDelete": store.CanGetAndDelete,
		"MGet": store.CanMGet, "Scan": store.CanScan, "DeletePrefix": store.CanDeletePrefix,
	} {
		if store.AbilitiesOf(kv)&ability == 0 {
			delete(all, name)
		}
	}
	return all
}

// contexts: a context that has ended before ends the call, with its error and without a change.
func contexts(t *test, kv store.KV) {
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("a reason"))
	late, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Hour))
	defer stop()
	t.set(kv, "key", "1", 0)
	for _, ctx := range []context.Context{cancelled, late} {
		for name, call := range calls(kv, "key") {
			t.want(name+" with a context that has ended", call(ctx), ctx.Err())
			t.is(kv, "key", "1")
		}
		for name, call := range calls(kv, "none") {
			t.want(name+" with a context that has ended", call(ctx), ctx.Err())
			t.none(kv, "none")
		}
	}
}

// Paused tests that each method of a store whose server doesn't answer, as one that was halted, returns when its context
// ends, with the context's error.
func Paused(t testing.TB, kv store.KV) {
	t.Helper()
	const while = 20 * time.Millisecond
	for name, call := range calls(kv, "key") {
		ctx, cancel := context.WithTimeout(t.Context(), while)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s on a server that doesn't answer = %v, want %v", name, err, context.DeadlineExceeded)
		}
		cancel()
		ctx, cancel = context.WithCancel(t.Context())
		timer := time.AfterFunc(while, cancel)
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s on a server that doesn't answer = %v, want %v", name, err, context.Canceled)
		}
		timer.Stop()
		cancel()
	}
}
