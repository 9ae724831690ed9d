package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris/middleware/store"
)

// nx sets a key if it has no value, and has to find it so or not.
func (t *test) nx(kv store.KV, key, value string, ttl time.Duration, want bool) {
	t.Helper()
	got, err := store.SetNX(t.Context(), kv, key, []byte(value), ttl)
	if err != nil || got != want {
		t.Fatalf("SetNX(%q, %q) = %v, %v, want %v", key, value, got, err, want)
	}
}

func setNX(t *test, kv store.KV) {
	t.nx(kv, "a", "1", 0, true)
	t.nx(kv, "a", "2", 0, false)
	t.is(kv, "a", "1")
	t.set(kv, "b", "", 0)
	t.nx(kv, "b", "2", 0, false)
	t.is(kv, "b", "")
	if err := kv.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	t.nx(kv, "a", "3", longTTL, true)
	t.is(kv, "a", "3")
	t.nx(kv, "\x00 \xff", "", 0, true)
	t.is(kv, "\x00 \xff", "")
	if _, err := store.SetNX(t.Context(), kv, "nil", nil, 0); err != nil {
		t.Errorf("SetNX of nil: %v", err)
	}
	t.is(kv, "nil", "")
}

// racing calls f from several goroutines at once and returns how many of the calls were true.
func racing(f func() bool) int {
	const workers = 8
	var (
		begin sync.WaitGroup
		wg    sync.WaitGroup
		won   atomic.Int32
	)
	begin.Add(workers)
	for range workers {
		wg.Go(func() {
			begin.Done()
			begin.Wait()
			if f() {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	return int(won.Load())
}

func setNXConcurrently(t *test, kv store.KV) {
	ctx := t.Context()
	for n := range 20 {
		won := racing(func() bool {
			ok, err := store.SetNX(ctx, kv, number(n), []byte("x"), longTTL)
			if err != nil {
				t.Errorf("SetNX: %v", err)
			}
			return ok
		})
		if won != 1 {
			t.Fatalf("%d of 8 concurrent calls of SetNX found no value, want 1", won)
		}
	}
}

func setNXTTL(t *test, kv store.KV) {
	begin := time.Now()
	t.nx(kv, "short", "1", shortTTL, true)
	t.nx(kv, "short", "2", 0, false)
	t.nx(kv, "long", "1", longTTL, true)
	t.nx(kv, "long", "2", shortTTL, false)
	t.nx(kv, "always", "1", 0, true)
	t.nx(kv, "always", "2", shortTTL, false)
	t.gone(kv, "short")
	if took := time.Since(begin); took < shortTTL-slack {
		t.Errorf("a value with a ttl of %v was gone after %v", shortTTL, took)
	}
	t.nx(kv, "short", "3", 0, true)
	t.is(kv, "short", "3")
	t.outlives(kv, shortTTL)
	t.is(kv, "long", "1")
	t.is(kv, "always", "1")

	// An expired value that nobody asked for doesn't count either.
	t.set(kv, "unseen", "1", shortTTL)
	t.outlives(kv, shortTTL)
	t.nx(kv, "unseen", "2", 0, true)
	t.is(kv, "unseen", "2")
}

func getAndDelete(t *test, kv store.KV) {
	ctx := t.Context()
	take := func(key string) ([]byte, error) { return store.GetAndDelete(ctx, kv, key) }
	for _, value := range []string{"1", "", "\x00\xff\r\n"} {
		t.set(kv, "a\x00 b", value, longTTL)
		if got, err := take("a\x00 b"); err != nil || string(got) != value {
			t.Fatalf("GetAndDelete = %q, %v, want %q", got, err, value)
		}
		t.none(kv, "a\x00 b")
		_, err := take("a\x00 b")
		t.want("a second GetAndDelete", err, store.ErrNotFound)
	}
	t.set(kv, "short", "x", shortTTL)
	t.set(kv, "other", "x", 0)
	t.outlives(kv, shortTTL)
	_, err := take("short")
	t.want("GetAndDelete of an expired value", err, store.ErrNotFound)
	t.is(kv, "other", "x")
	t.set(kv, "short", "y", 0)
	t.is(kv, "short", "y")
}

func getAndDeleteConcurrently(t *test, kv store.KV) {
	ctx := t.Context()
	for n := range 20 {
		key := number(n)
		t.set(kv, key, "x", 0)
		won := racing(func() bool {
			value, err := store.GetAndDelete(ctx, kv, key)
			switch {
			case errors.Is(err, store.ErrNotFound):
				return false
			case err != nil || string(value) != "x":
				t.Errorf("GetAndDelete = %q, %v", value, err)
			}
			return true
		})
		if won != 1 {
			t.Fatalf("%d of 8 concurrent calls of GetAndDelete got the value, want 1", won)
		}
		t.none(kv, key)
	}
}
