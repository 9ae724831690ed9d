package sse_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/store"
)

var errKV = errors.New("no answer")

// testKV is a KV in memory whose requests a test can watch, hold up and lose.
type testKV struct {
	*store.MemoryKV

	mu     sync.Mutex // guards all below
	rand   *rand.Rand // not nil while requests are lost
	before func(ctx context.Context, op, key string) error
	after  func(ctx context.Context, op, key string) error
	count  map[string]int // of requests
}

func newTestKV(t *testing.T) *testKV {
	t.Helper()
	kv := &testKV{MemoryKV: store.NewMemoryKV(store.MemoryConfig{}), count: make(map[string]int)}
	t.Cleanup(func() { kv.Close() })
	return kv
}

// on sets what is called before and after each request took effect; an error is its answer.
func (kv *testKV) on(before, after func(ctx context.Context, op, key string) error) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	kv.before, kv.after = before, after
}

// requests returns how many there were of an operation.
func (kv *testKV) requests(op string) int {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	return kv.count[op]
}

// lose makes requests fail at random, before or after they took effect, and be done twice.
func (kv *testKV) lose(on bool) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	kv.rand = nil
	if on {
		kv.rand = rand.New(rand.NewPCG(1, 2))
	}
}

// lives checks that what is written is under the prefix and doesn't live for ever.
func (kv *testKV) lives(key string, ttl time.Duration) {
	short := ttl < 365*24*time.Hour && (strings.HasSuffix(key, ":counter") || strings.HasSuffix(key, ":epoch"))
	if !strings.HasPrefix(key, "sse:") || len(key) > 200 || ttl <= 0 || short {
		panic(fmt.Sprintf("the key %q is written with a ttl of %v", key, ttl))
	}
}

// do is a request.
func (kv *testKV) do(ctx context.Context, op, key string, f func() error) error {
	kv.mu.Lock()
	kv.count[op]++
	before, after := kv.before, kv.after
	fate := 9
	if kv.rand != nil {
		fate = kv.rand.IntN(10)
	}
	kv.mu.Unlock()
	if before != nil {
		if err := before(ctx, op, key); err != nil {
			return err
		}
	}
	if fate == 0 {
		return errKV
	}
	if fate == 1 {
		time.Sleep(time.Millisecond) // a late one
	}
	err := f()
	if fate == 2 {
		err = f()
	}
	if fate == 3 {
		return errKV
	}
	if after != nil {
		if err := after(ctx, op, key); err != nil {
			return err
		}
	}
	return err
}

func (kv *testKV) Get(ctx context.Context, key string) (value []byte, err error) {
	err = kv.do(ctx, "get", key, func() error { value, err = kv.MemoryKV.Get(ctx, key); return err })
	return value, err
}

func (kv *testKV) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	kv.lives(key, ttl)
	return kv.do(ctx, "set", key, func() error { return kv.MemoryKV.Set(ctx, key, value, ttl) })
}

func (kv *testKV) Delete(ctx context.Context, key string) error {
	return kv.do(ctx, "delete", key, func() error { return kv.MemoryKV.Delete(ctx, key) })
}

func (kv *testKV) SetNX(ctx context.Context, key string, value []byte, ttl time.Duration) (ok bool, err error) {
	kv.lives(key, ttl)
	err = kv.do(ctx, "setnx", key, func() error { ok, err = kv.MemoryKV.SetNX(ctx, key, value, ttl); return err })
	return ok, err
}

func (kv *testKV) Increment(ctx context.Context, key string, delta int64, ttl time.Duration) (n int64, err error) {
	kv.lives(key, ttl)
	err = kv.do(ctx, "increment", key, func() error { n, err = kv.MemoryKV.Increment(ctx, key, delta, ttl); return err })
	return n, err
}

func (kv *testKV) MGet(ctx context.Context, keys ...string) (values [][]byte, err error) {
	err = kv.do(ctx, "mget", keys[0], func() error { values, err = kv.MemoryKV.MGet(ctx, keys...); return err })
	return values, err
}

// dump returns all there is.
func (kv *testKV) dump(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for key, err := range kv.Scan(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		value, err := kv.MemoryKV.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		all[key] = string(value)
	}
	return all
}

// rewind keeps the state, and returns what brings it back.
func (kv *testKV) rewind(t *testing.T) (restore func()) {
	t.Helper()
	all := kv.dump(t)
	return func() {
		if err := kv.DeletePrefix(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		for key, value := range all {
			if err := kv.MemoryKV.Set(t.Context(), key, []byte(value), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// keys returns the keys that end so.
func (kv *testKV) keys(t *testing.T, suffix string) (keys []string) {
	t.Helper()
	for key := range kv.dump(t) {
		if strings.HasSuffix(key, suffix) {
			keys = append(keys, key)
		}
	}
	return keys
}

// key returns the one key that ends so.
func (kv *testKV) key(t *testing.T, suffix string) string {
	t.Helper()
	keys := kv.keys(t, suffix)
	if len(keys) != 1 {
		t.Fatalf("keys that end with %q: %q, want one", suffix, keys)
	}
	return keys[0]
}

// abilities are KVs with less than all.
var abilities = map[string]func(kv *testKV) store.KV{
	"All": func(kv *testKV) store.KV { return kv },
	"NoMGet": func(kv *testKV) store.KV {
		return struct {
			store.KV
			store.Counter
			store.SetNXer
		}{kv, kv, kv}
	},
	"NoCounter": func(kv *testKV) store.KV {
		return struct {
			store.KV
			store.SetNXer
			store.MultiGetter
		}{kv, kv, kv}
	},
	"NoSetNX": func(kv *testKV) store.KV {
		return struct {
			store.KV
			store.Counter
		}{kv, kv}
	},
	"None": func(kv *testKV) store.KV { return struct{ store.KV }{kv} },
}

// openKV returns a store that ends with the test.
func openKV(t *testing.T, config sse.KVReplayStoreConfig) sse.KVReplayStore {
	t.Helper()
	s, err := sse.NewKVReplayStore(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}
