package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/goceleris/celeris/middleware/store"
)

func mGet(t *test, kv store.KV) {
	ctx := t.Context()
	get := func(keys ...string) [][]byte {
		t.Helper()
		values, err := store.MGet(ctx, kv, keys...)
		if err != nil {
			t.Fatalf("MGet(%.60q): %v", keys, err)
		}
		if len(values) != len(keys) {
			t.Fatalf("MGet of %d keys has %d values", len(keys), len(values))
		}
		return values
	}
	get()
	t.set(kv, "a", "1", 0)
	t.set(kv, "b\x00 ", "2", 0)
	t.set(kv, "empty", "", 0)
	t.set(kv, "short", "x", shortTTL)
	t.outlives(kv, shortTTL)
	values := get("empty", "none", "b\x00 ", "a", "short", "b\x00 ")
	for i, want := range []string{"", "-", "2", "1", "-", "2"} {
		got := string(values[i])
		if values[i] == nil {
			got = "-"
		}
		if got != want {
			t.Errorf("MGet(…)[%d] = %q, want %q (- is nil)", i, got, want)
		}
	}
	_, err := store.MGet(ctx, kv, "a", "")
	t.want(`MGet with the key ""`, err, store.ErrInvalidKey)

	// Many, over all that a store may be divided into.
	var keys []string
	for n := range 1000 {
		key := "many" + number(n)
		keys = append(keys, key)
		if n%3 != 0 {
			t.set(kv, key, number(n), 0)
		}
	}
	slices.Reverse(keys)
	for i, value := range get(keys...) {
		n := len(keys) - 1 - i
		if n%3 == 0 && value != nil || n%3 != 0 && string(value) != number(n) {
			t.Fatalf("MGet: the value of %q is %q", keys[i], value)
		}
	}
}

// list returns the keys with a prefix, in order.
func (t *test) list(kv store.KV, prefix string) []string {
	t.Helper()
	var keys []string
	for key, err := range store.Scan(t.Context(), kv, prefix) {
		if err != nil {
			t.Fatalf("Scan(%q): %v", prefix, err)
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// lists fails unless these are the keys with a prefix, each once.
func (t *test) lists(kv store.KV, prefix string, want []string) {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	if got := t.list(kv, prefix); !slices.Equal(got, want) {
		t.Errorf("Scan(%q) has %d keys, %.300q, want %d, %.300q", prefix, len(got), got, len(want), want)
	}
}

func scan(t *test, kv store.KV) {
	t.lists(kv, "", nil)
	t.lists(kv, "a", nil)
	var numbered []string
	for n := range 2500 { // more than a store gives at a time
		numbered = append(numbered, "n:"+number(n))
		t.set(kv, numbered[n], "", 0)
	}
	t.set(kv, "n", "", 0)
	t.set(kv, "m", "", longTTL)
	t.set(kv, "n:short", "", shortTTL)
	t.set(kv, "deleted", "", 0)
	if err := kv.Delete(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}
	t.outlives(kv, shortTTL)
	t.lists(kv, "n:", numbered)
	t.lists(kv, "n:001", numbered[1000:2000])
	t.lists(kv, numbered[7], numbered[7:8])
	t.lists(kv, "o", nil)
	t.lists(kv, "", append(numbered, "n", "m"))
}

// awkward are keys whose prefixes are patterns, ends of ranges and the like somewhere.
var awkward = []string{
	"a*b", "axb", "a?b", "a[x]b", "a[^y]b", `a\*b`, `a\`, "a%b", "a_b", "a", "A*b", "a\x00", "a\x00b", "a b", "a\nb", "a\xff", "a\xff\xff",
	"a\xff\xffb", "b", "\xff", "\xff\xff", "\xff\xffz", "\x00", "\x00\x00", "é", "\xc3", "*", "?", "[", "]", "^", "{a}", "-",
}

func withPrefix(keys []string, prefix string) (with, without []string) {
	for _, key := range keys {
		if strings.HasPrefix(key, prefix) {
			with = append(with, key)
		} else {
			without = append(without, key)
		}
	}
	return with, without
}

func scanPrefixes(t *test, kv store.KV) {
	for _, key := range awkward {
		t.set(kv, key, "x", 0)
	}
	for _, key := range awkward {
		for n := range len(key) + 1 {
			with, _ := withPrefix(awkward, key[:n])
			t.lists(kv, key[:n], with)
		}
	}
	t.lists(kv, "none", nil)
}

// scanEnds: the caller may leave at any key, and an error comes once and last.
func scanEnds(t *test, kv store.KV) {
	for n := range 300 {
		t.set(kv, number(n), "", 0)
	}
	for _, stop := range []int{1, 2, 100, 299, 300} {
		n := 0
		for _, err := range store.Scan(t.Context(), kv, "") {
			if err != nil {
				t.Fatalf("Scan: %v", err)
			}
			if n++; n == stop {
				break
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	keys, ended := 0, error(nil)
	for key, err := range store.Scan(ctx, kv, "") {
		switch {
		case ended != nil:
			t.Fatalf("Scan goes on after an error: %q, %v", key, err)
		case err != nil && key != "":
			t.Errorf("Scan yields the key %q beside an error", key)
		}
		if ended = err; err == nil {
			keys++
			cancel()
		}
	}
	// What had been read when the context ended may still come.
	if ended == nil && keys < 300 {
		t.Errorf("Scan ended without an error after %d of 300 keys", keys)
	}
	if ended != nil && !errors.Is(ended, context.Canceled) {
		t.Errorf("Scan whose context ended = %v, want %v", ended, context.Canceled)
	}
}

// scanWhileWriting: what is there all the time is listed once.
func scanWhileWriting(t *test, kv store.KV) {
	var stable []string
	for n := range 600 {
		stable = append(stable, "s"+number(n))
		t.set(kv, stable[n], "", 0)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for w := range 2 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key := fmt.Sprintf("s%d-%d", w, n%400)
				var err error
				if n%800 < 400 {
					err = kv.Set(ctx, key, nil, 0)
				} else {
					err = kv.Delete(ctx, key)
				}
				if err != nil && ctx.Err() == nil {
					t.Errorf("Set or Delete: %v", err)
					return
				}
			}
		})
	}
	for range 5 {
		var got []string
		for _, key := range t.list(kv, "s") {
			if !strings.Contains(key, "-") {
				got = append(got, key)
			}
		}
		if !slices.Equal(got, stable) {
			t.Errorf("Scan while others write has %d of the %d keys that stay, or some of them twice", len(got), len(stable))
		}
	}
}

func deletePrefix(t *test, kv store.KV) {
	remove := func(prefix string) {
		t.Helper()
		if err := store.DeletePrefix(t.Context(), kv, prefix); err != nil {
			t.Fatalf("DeletePrefix(%q): %v", prefix, err)
		}
	}
	remove("")
	for _, prefix := range []string{
		"a*", "a?", "a[", `a\`, "a%", "a_", "a\x00", "a\xff", "a", "\xff", "\xff\xff", "\x00", "\xc3", "*", "[", "none", "",
	} {
		for _, key := range awkward {
			t.set(kv, key, "x", 0)
		}
		remove(prefix)
		with, without := withPrefix(awkward, prefix)
		for _, key := range with {
			t.none(kv, key)
		}
		for _, key := range without {
			t.is(kv, key, "x")
		}
	}
}

func deletePrefixOfMany(t *test, kv store.KV) {
	const n = 2500 // more than a store removes at a time
	for i := range n {
		t.set(kv, "d"+number(i), "", longTTL)
	}
	t.set(kv, "e", "x", 0)
	if err := store.DeletePrefix(t.Context(), kv, "d"); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		t.none(kv, "d"+number(i))
	}
	t.is(kv, "e", "x")
}
