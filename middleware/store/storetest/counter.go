package storetest

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/goceleris/celeris/middleware/store"
)

// add increments a key that has to become want.
func (t *test) add(kv store.KV, key string, delta int64, ttl time.Duration, want int64) {
	t.Helper()
	got, err := store.Increment(t.Context(), kv, key, delta, ttl)
	if err != nil || got != want {
		t.Fatalf("Increment(%q, %d) = %d, %v, want %d", key, delta, got, err, want)
	}
}

func increment(t *test, kv store.KV) {
	t.add(kv, "n", 1, 0, 1)
	t.is(kv, "n", "1")
	t.add(kv, "n", 41, 0, 42)
	t.add(kv, "n", 0, 0, 42)
	t.add(kv, "n", -50, 0, -8)
	t.is(kv, "n", "-8")
	t.add(kv, "n", 8, 0, 0)
	t.is(kv, "n", "0")
	t.add(kv, "zero", 0, 0, 0)
	t.is(kv, "zero", "0")
	t.set(kv, "set", "1234567890123", 0)
	t.add(kv, "set", 1, 0, 1234567890124)
	t.add(kv, "\x00\xff binary", 5, 0, 5)

	// No number of 64 bits is rounded, and the ends can be reached.
	t.set(kv, "large", "9007199254740993", 0)
	t.add(kv, "large", 2, 0, 9007199254740995)
	t.add(kv, "max", math.MaxInt64-1, 0, math.MaxInt64-1)
	t.add(kv, "max", 1, 0, math.MaxInt64)
	t.is(kv, "max", "9223372036854775807")
	t.add(kv, "max", math.MinInt64, 0, -1)
	t.add(kv, "min", math.MinInt64, 0, math.MinInt64)
	t.is(kv, "min", "-9223372036854775808")
	t.add(kv, "min", math.MaxInt64, 0, -1)
}

// incrementNoNumber: what can't be incremented stays as it is, with its ttl.
func incrementNoNumber(t *test, kv store.KV) {
	for i, value := range []string{
		"", "x", "1x", " 1", "1 ", "+1", "01", "-0", "00", "-", "1.0", "1e3", "0x10", "1_000", "١", "1\x00", "\xff",
		"9223372036854775808", "-9223372036854775809", "99999999999999999999999",
	} {
		key := number(i)
		t.set(kv, key, value, 0)
		for _, delta := range []int64{1, 0, -1} {
			sum, err := store.Increment(t.Context(), kv, key, delta, shortTTL)
			t.want(fmt.Sprintf("Increment of %q (%d)", value, sum), err, store.ErrNotNumber)
			t.is(kv, key, value)
		}
	}
	beyond := func(value string, delta int64) {
		t.set(kv, "beyond", value, 0)
		sum, err := store.Increment(t.Context(), kv, "beyond", delta, shortTTL)
		t.want(fmt.Sprintf("Increment of %s by %d (%d)", value, delta, sum), err, store.ErrNotNumber)
		t.is(kv, "beyond", value)
	}
	beyond("9223372036854775807", math.MaxInt64)
	beyond("-9223372036854775808", math.MinInt64)
	beyond("-9223372036854775808", -1)
	beyond("9223372036854775807", 1)

	t.set(kv, "expiring", "x", shortTTL)
	_, err := store.Increment(t.Context(), kv, "expiring", 1, 0)
	t.want("Increment of x", err, store.ErrNotNumber)
	t.gone(kv, "expiring")
	t.is(kv, "beyond", "9223372036854775807")
	t.is(kv, number(0), "")
}

func incrementConcurrently(t *test, kv store.KV) {
	const workers, rounds = 8, 40
	ctx := t.Context()
	results := make([][]int64, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range rounds {
				n, err := store.Increment(ctx, kv, "n", 1, longTTL)
				if err != nil {
					t.Errorf("Increment: %v", err)
					return
				}
				results[w] = append(results[w], n)
			}
		})
	}
	wg.Wait()
	for _, own := range results {
		if !slices.IsSorted(own) {
			t.Errorf("one caller's sums go down: %v", own)
		}
	}
	all := slices.Sorted(slices.Values(slices.Concat(results...)))
	for i, n := range all {
		if n != int64(i+1) {
			t.Fatalf("the sums of %d increments are %v, want each of 1 to %d once", workers*rounds, all, workers*rounds)
		}
	}
	t.is(kv, "n", fmt.Sprint(workers*rounds))
}

// incrementTTL: each increment sets the ttl, and what has expired counts as zero.
func incrementTTL(t *test, kv store.KV) {
	begin := time.Now()
	t.add(kv, "short", 5, shortTTL, 5)
	t.add(kv, "short then none", 1, shortTTL, 1)
	t.add(kv, "short then none", 1, 0, 2)
	t.add(kv, "short then long", 1, shortTTL, 1)
	t.add(kv, "short then long", 1, longTTL, 2)
	t.set(kv, "none then short", "1", 0)
	t.add(kv, "none then short", 1, shortTTL, 2)
	t.gone(kv, "short")
	if took := time.Since(begin); took < shortTTL-slack {
		t.Errorf("a number with a ttl of %v was gone after %v", shortTTL, took)
	}
	t.gone(kv, "none then short")
	t.outlives(kv, shortTTL)
	t.is(kv, "short then none", "2")
	t.is(kv, "short then long", "2")
	t.add(kv, "short", 1, 0, 1)
	t.set(kv, "text", "x", shortTTL)
	t.gone(kv, "text")
	t.add(kv, "text", 3, 0, 3)
}
