// Package storetest is the contract of package store in executable form, for tests of stores.
package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/goceleris/celeris/middleware/store"
)

// The sizes that every store takes.
const (
	keySize   = 200
	valueSize = 512 << 10
)

// Run tests that the stores which open returns keep the contract, and have these abilities and no others: a store that
// loses one fails. Open is called once for each part of the contract, in turn, and returns an empty store; what it
// registers with t.Cleanup runs when the part is over; it may call t.Parallel if its stores have nothing in common. Time
// to live is tested in real time, which takes seconds where the store counts in them.
func Run(t *testing.T, open func(t *testing.T) store.KV, want store.Abilities) {
	t.Run("Abilities", func(t *testing.T) { abilities(t, open(t), want) })
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			kv := open(t)
			if lacking := c.needs &^ store.AbilitiesOf(kv); lacking != 0 {
				t.Skipf("the store has no %v", lacking)
			}
			c.run(&test{t, 30 * time.Second}, kv)
		})
	}
}

func abilities(t testing.TB, kv store.KV, want store.Abilities) {
	t.Helper()
	got := store.AbilitiesOf(kv)
	if lost := want &^ got; lost != 0 {
		t.Errorf("the store has lost the abilities %v", lost)
	}
	if gained := got &^ want; gained != 0 {
		t.Errorf("the store has the abilities %v, which the test doesn't expect", gained)
	}
}

// test is what a check runs in. Patience bounds its waits for what has to happen.
type test struct {
	testing.TB
	patience time.Duration
}

// A check is a part of the contract.
type check struct {
	name  string
	needs store.Abilities
	run   func(t *test, kv store.KV)
}

var checks = []check{
	{"Values", 0, values},
	{"EmptyValues", 0, emptyValues},
	{"BinaryKeys", 0, binaryKeys},
	{"BinaryValues", 0, binaryValues},
	{"LargeValues", 0, largeValues},
	{"InvalidKeys", 0, invalidKeys},
	{"Ownership", 0, ownership},
	{"Contexts", 0, contexts},
	{"TTL", 0, ttlEnds},
	{"TTLReplaced", 0, ttlReplaced},
	{"TTLEdges", 0, ttlEdges},
	{"Concurrency", 0, concurrency},
	{"Increment", store.CanIncrement, increment},
	{"IncrementNoNumber", store.CanIncrement, incrementNoNumber},
	{"IncrementConcurrently", store.CanIncrement, incrementConcurrently},
	{"IncrementTTL", store.CanIncrement, incrementTTL},
	{"SetNX", store.CanSetNX, setNX},
	{"SetNXConcurrently", store.CanSetNX, setNXConcurrently},
	{"SetNXTTL", store.CanSetNX, setNXTTL},
	{"GetAndDelete", store.CanGetAndDelete, getAndDelete},
	{"GetAndDeleteConcurrently", store.CanGetAndDelete, getAndDeleteConcurrently},
	{"MGet", store.CanMGet, mGet},
	{"Scan", store.CanScan, scan},
	{"ScanPrefixes", store.CanScan, scanPrefixes},
	{"ScanEnds", store.CanScan, scanEnds},
	{"ScanWhileWriting", store.CanScan, scanWhileWriting},
	{"DeletePrefix", store.CanDeletePrefix, deletePrefix},
	{"DeletePrefixOfMany", store.CanDeletePrefix, deletePrefixOfMany},
}

// set sets a value that has to be taken.
func (t *test) set(kv store.KV, key, value string, ttl time.Duration) {
	t.Helper()
	if err := kv.Set(t.Context(), key, []byte(value), ttl); err != nil {
		t.Fatalf("Set(%.60q, %d bytes, %v): %v", key, len(value), ttl, err)
	}
}

// is fails unless key has this value.
func (t *test) is(kv store.KV, key, want string) {
	t.Helper()
	got, err := kv.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get(%.60q) = %v, want %.60q", key, err, want)
	}
	if string(got) != want {
		t.Fatalf("Get(%.60q) = %.60q (%d bytes), want %.60q (%d bytes)", key, got, len(got), want, len(want))
	}
}

// none fails if key has a value.
func (t *test) none(kv store.KV, key string) {
	t.Helper()
	if got, err := kv.Get(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Get(%.60q) = %.60q, %v, want ErrNotFound", key, got, err)
	}
}

// gone waits until key has no value.
func (t *test) gone(kv store.KV, key string) {
	t.Helper()
	for end := time.Now().Add(t.patience); ; time.Sleep(5 * time.Millisecond) {
		_, err := kv.Get(t.Context(), key)
		if errors.Is(err, store.ErrNotFound) {
			return
		}
		if err != nil {
			t.Fatalf("Get(%.60q): %v", key, err)
		}
		if time.Now().After(end) {
			t.Fatalf("Get(%.60q) still finds a value after %v, when its ttl is over", key, t.patience)
		}
	}
}

// outlives waits until a value that is set now is gone after ttl. Of values with the same ttl that were set before, none is left then.
func (t *test) outlives(kv store.KV, ttl time.Duration) {
	t.Helper()
	t.set(kv, "outlives", "x", ttl)
	t.gone(kv, "outlives")
}

// want fails unless err is one that errors.Is takes for target.
func (t *test) want(what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s = %v, want %v", what, err, target)
	}
}

// number is the value of a small number's key.
func number(n int) string { return fmt.Sprintf("%06d", n) }
