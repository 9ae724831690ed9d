package storetest

import (
	"math"
	"time"

	"github.com/goceleris/celeris/middleware/store"
)

const (
	shortTTL = 150 * time.Millisecond
	longTTL  = time.Hour

	// slack is how much earlier a value may be gone by the clock of the test, as clocks tick.
	slack = 5 * time.Millisecond
)

// ttlEnds: a value stays for its ttl, and then it is gone.
func ttlEnds(t *test, kv store.KV) {
	for _, ttl := range []time.Duration{shortTTL, 1050 * time.Millisecond} {
		begin := time.Now()
		t.set(kv, "short", "x", ttl)
		t.set(kv, "long", "x", longTTL)
		t.set(kv, "always", "x", 0)
		t.gone(kv, "short")
		if took := time.Since(begin); took < ttl-slack {
			t.Errorf("a value with a ttl of %v was gone after %v", ttl, took)
		}
		t.is(kv, "long", "x")
		t.is(kv, "always", "x")
	}
}

// ttlReplaced: only the last ttl counts.
func ttlReplaced(t *test, kv store.KV) {
	t.set(kv, "short then none", "1", shortTTL)
	t.set(kv, "short then none", "2", 0)
	t.set(kv, "short then long", "1", shortTTL)
	t.set(kv, "short then long", "2", longTTL)
	t.set(kv, "none then short", "1", 0)
	t.set(kv, "none then short", "2", shortTTL)
	t.set(kv, "long then short", "1", longTTL)
	t.set(kv, "long then short", "2", shortTTL)
	t.set(kv, "deleted", "1", shortTTL)
	if err := kv.Delete(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}
	t.set(kv, "deleted", "2", 0)
	t.outlives(kv, shortTTL)
	t.is(kv, "short then none", "2")
	t.is(kv, "short then long", "2")
	t.is(kv, "deleted", "2")
	t.gone(kv, "none then short")
	t.gone(kv, "long then short")
	t.set(kv, "none then short", "3", 0)
	t.is(kv, "none then short", "3")
}

// ttlEdges: the least and the greatest ttl are neither none nor the other, and a negative one is an error.
func ttlEdges(t *test, kv store.KV) {
	long := []time.Duration{
		30 * 24 * time.Hour, 30*24*time.Hour + time.Second, 400 * 24 * time.Hour,
		math.MaxInt32 * time.Second, math.MaxInt64 - 1, math.MaxInt64,
	}
	for i, ttl := range long {
		t.set(kv, number(i), "x", ttl)
	}
	for _, ttl := range []time.Duration{1, time.Microsecond, time.Millisecond - 1, time.Millisecond} {
		t.set(kv, "tiny"+ttl.String(), "x", ttl)
	}
	for _, ttl := range []time.Duration{-1, -time.Second, math.MinInt64} {
		t.want("Set with a negative ttl", kv.Set(t.Context(), "000000", []byte("y"), ttl), store.ErrInvalidTTL)
		t.want("Set with a negative ttl", kv.Set(t.Context(), "negative", []byte("y"), ttl), store.ErrInvalidTTL)
		if s, ok := kv.(store.SetNXer); ok {
			_, err := s.SetNX(t.Context(), "negative", []byte("y"), ttl)
			t.want("SetNX with a negative ttl", err, store.ErrInvalidTTL)
		}
		if s, ok := kv.(store.Counter); ok {
			_, err := s.Increment(t.Context(), "negative", 1, ttl)
			t.want("Increment with a negative ttl", err, store.ErrInvalidTTL)
		}
	}
	t.none(kv, "negative")
	for _, ttl := range []time.Duration{1, time.Microsecond, time.Millisecond - 1, time.Millisecond} {
		t.gone(kv, "tiny"+ttl.String())
	}
	for i := range long {
		t.is(kv, number(i), "x")
	}
}
