package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/goceleris/celeris/middleware/store"
)

func values(t *test, kv store.KV) {
	t.none(kv, "a")
	t.set(kv, "a", "1", 0)
	t.set(kv, "b", "2", 0)
	t.is(kv, "a", "1")
	t.is(kv, "b", "2")
	t.set(kv, "a", "a longer one", 0)
	t.is(kv, "a", "a longer one")
	t.set(kv, "a", "3", 0)
	t.is(kv, "a", "3")
	for range 2 { // the second time there is none
		if err := kv.Delete(t.Context(), "a"); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		t.none(kv, "a")
	}
	t.is(kv, "b", "2")
}

func emptyValues(t *test, kv store.KV) {
	t.set(kv, "empty", "", 0)
	t.is(kv, "empty", "")
	if err := kv.Set(t.Context(), "nil", nil, 0); err != nil {
		t.Fatalf("Set of nil: %v", err)
	}
	t.is(kv, "nil", "")
}

// binary returns keys that a store may take for others, or for something else than a key.
func binary() []string {
	var keys []string
	for b := range 256 {
		keys = append(keys, string([]byte{byte(b)}))
	}
	keys = append(keys,
		"a b", "a\r\nb", "a\x00b", "a\x00", "\x00a", " a", "a ", "ab", "aB", "é", "e\u0301", "\xff\xfe", "\xff\xff", "\x80\x80",
		`a\b`, "a'b", `a"b`, "a%b", "a_b", "a*b", "a?b", "a[b]", "{a}b", "a/../b", "00", "0x0", "nil", "null", "%00", "=00", `\x00`)
	for _, b := range []string{"\x00", " ", "x", "\x7f", "\x80", "\xff"} {
		long := strings.Repeat(b, keySize-1)
		keys = append(keys, long, long+"1", long+"2", long+b)
	}
	return keys
}

func binaryKeys(t *test, kv store.KV) {
	for i, key := range binary() {
		t.set(kv, key, number(i), 0)
	}
	for i, key := range binary() {
		t.is(kv, key, number(i))
	}
	for i, key := range binary() {
		if i%2 == 0 {
			if err := kv.Delete(t.Context(), key); err != nil {
				t.Fatalf("Delete(%q): %v", key, err)
			}
		}
	}
	for i, key := range binary() {
		if i%2 == 0 {
			t.none(kv, key)
		} else {
			t.is(kv, key, number(i))
		}
	}
}

func binaryValues(t *test, kv store.KV) {
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	for i, value := range []string{
		string(all), "\x00", "\x00\x00a", "a\r\nEND\r\n", "\n", " 1 ", "\xff\xfe", `\x00`, "NULL", "null", "é", "e\u0301",
	} {
		key := number(i)
		t.set(kv, key, value, 0)
		t.is(kv, key, value)
	}
}

func largeValues(t *test, kv store.KV) {
	large := make([]byte, 2<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(large) // it has no error
	value := string(large[:valueSize])
	t.set(kv, "large", value, 0)
	t.is(kv, "large", value)
	t.set(kv, "large", "small", 0)
	t.is(kv, "large", "small")

	// What is refused is refused by name and changes nothing.
	err := kv.Set(t.Context(), "large", large, 0)
	switch {
	case err == nil:
		t.is(kv, "large", string(large))
	case errors.Is(err, store.ErrTooLarge):
		t.is(kv, "large", "small")
	default:
		t.Errorf("Set of %d bytes = %v, want nil or ErrTooLarge", len(large), err)
	}
}

func invalidKeys(t *test, kv store.KV) {
	for name, call := range calls(kv, "") {
		if name != "Scan" && name != "DeletePrefix" { // their empty prefix is that of all keys
			t.want(name+` of ""`, call(t.Context()), store.ErrInvalidKey)
		}
	}
	long := strings.Repeat("k", 64<<10)
	err := kv.Set(t.Context(), long, []byte("long"), 0)
	switch {
	case err == nil:
		t.is(kv, long, "long")
		t.none(kv, long[1:])
	case errors.Is(err, store.ErrInvalidKey):
		_, err := kv.Get(t.Context(), long)
		t.want("Get of a key that Set refuses", err, store.ErrInvalidKey)
		t.want("Delete of a key that Set refuses", kv.Delete(t.Context(), long), store.ErrInvalidKey)
	default:
		t.Errorf("Set with a key of %d bytes = %v, want nil or ErrInvalidKey", len(long), err)
	}
}

// ownership: what was passed in may be changed later, and what was returned too.
func ownership(t *test, kv store.KV) {
	ctx := t.Context()
	const want = "abcdefgh"
	spoil := func(b []byte) {
		for i := range b {
			b[i] = '!'
		}
		if cap(b) > len(b) {
			b = b[:cap(b)]
			b[cap(b)-1] = '!'
		}
	}
	passed := []byte(want)
	if err := kv.Set(ctx, "set", passed, 0); err != nil {
		t.Fatal(err)
	}
	if string(passed) != want {
		t.Errorf("Set changed the value that was passed to it: %q", passed)
	}
	spoil(passed)
	t.is(kv, "set", want)
	first, _ := kv.Get(ctx, "set")
	second, _ := kv.Get(ctx, "set")
	spoil(first)
	if string(second) != want {
		t.Errorf("two calls of Get share their result")
	}
	t.is(kv, "set", want)

	if s, ok := kv.(store.SetNXer); ok {
		passed := []byte(want)
		if _, err := s.SetNX(ctx, "setnx", passed, 0); err != nil {
			t.Fatal(err)
		}
		spoil(passed)
		t.is(kv, "setnx", want)
	}
	if s, ok := kv.(store.MultiGetter); ok {
		all, err := s.MGet(ctx, "set", "set")
		if err != nil || len(all) != 2 {
			t.Fatalf("MGet = %q, %v", all, err)
		}
		spoil(all[0])
		if string(all[1]) != want {
			t.Errorf("the same key twice in MGet: the values share their bytes")
		}
		t.is(kv, "set", want)
	}
}

// concurrency: readers see whole values, which somebody has written.
func concurrency(t *test, kv store.KV) {
	const workers, rounds, keys = 8, 40, 3
	ctx := t.Context()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for n := range rounds {
				key := fmt.Sprint("key", (w+n)%keys)
				value := bytes.Repeat([]byte{byte('a' + w)}, 100+w)
				if err := kv.Set(ctx, key, value, 0); err != nil {
					t.Errorf("Set: %v", err)
				}
				got, err := kv.Get(ctx, fmt.Sprint("key", (w+n+1)%keys))
				switch {
				case errors.Is(err, store.ErrNotFound):
				case err != nil:
					t.Errorf("Get: %v", err)
				case len(got) < 100 || len(got) != 100+int(got[0]-'a') || bytes.Count(got, got[:1]) != len(got):
					t.Errorf("Get = %q, which nobody has set", got)
				}
				if n%10 == 0 {
					if err := kv.Delete(ctx, key); err != nil {
						t.Errorf("Delete: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
}
