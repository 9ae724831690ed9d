package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/goceleris/celeris/middleware/store"
)

func TestPrefixed_KeepsExactlyTheAbilities(t *testing.T) {
	memory := store.NewMemoryKV(store.MemoryConfig{})
	defer memory.Close()
	for a := range store.AllAbilities + 1 {
		kv := store.Restrict(memory, a)
		if got := store.AbilitiesOf(kv); got != a {
			t.Errorf("a store restricted to %v has %v", a, got)
		}
		prefixed := store.Prefixed(kv, "p:")
		if got := store.AbilitiesOf(prefixed); got != a {
			t.Errorf("Prefixed of a store with %v has %v", a, got)
		}
		if got := store.AbilitiesOf(store.Prefixed(prefixed, "q:")); got != a {
			t.Errorf("Prefixed twice of a store with %v has %v", a, got)
		}
	}
}

// Each function works exactly with the stores that have its ability.
func TestFunctions_UnsupportedWithoutTheAbility(t *testing.T) {
	memory := store.NewMemoryKV(store.MemoryConfig{})
	defer memory.Close()
	ctx := t.Context()
	for ability, call := range map[store.Abilities]func(store.KV) error{
		store.CanIncrement:    func(kv store.KV) error { _, err := store.Increment(ctx, kv, "n", 1, 0); return err },
		store.CanSetNX:        func(kv store.KV) error { _, err := store.SetNX(ctx, kv, "a", nil, 0); return err },
		store.CanGetAndDelete: func(kv store.KV) error { _, err := store.GetAndDelete(ctx, kv, "b"); return err },
		store.CanMGet:         func(kv store.KV) error { _, err := store.MGet(ctx, kv, "a"); return err },
		store.CanDeletePrefix: func(kv store.KV) error { return store.DeletePrefix(ctx, kv, "none") },
		store.CanScan: func(kv store.KV) (last error) {
			for _, err := range store.Scan(ctx, kv, "") {
				last = err
			}
			return last
		},
	} {
		for a := range store.AllAbilities + 1 {
			for _, kv := range []store.KV{store.Restrict(memory, a), store.Prefixed(store.Restrict(memory, a), "p")} {
				err := call(kv)
				if has := a&ability != 0; errors.Is(err, errors.ErrUnsupported) == has {
					t.Errorf("%v of a store with %v = %v", ability, a, err)
				}
			}
		}
	}
}

func TestAbilities_String(t *testing.T) {
	for a, want := range map[store.Abilities]string{
		0: "none", store.CanScan: "Scan", store.CanIncrement | store.CanMGet: "Increment, MGet",
		store.AllAbilities: "Increment, SetNX, GetAndDelete, MGet, Scan, DeletePrefix",
	} {
		if got := a.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}

func TestPrefixed_IsAPart(t *testing.T) {
	memory := store.NewMemoryKV(store.MemoryConfig{})
	defer memory.Close()
	a, b := store.Prefixed(memory, "a:"), store.Prefixed(memory, "b:")
	set(t, a, "k", "of a", 0)
	set(t, b, "k", "of b", 0)
	set(t, memory, "a:", "no key of a", 0)
	set(t, store.Prefixed(a, "sub:"), "k", "nested", 0)
	for key, want := range map[string]string{"a:k": "of a", "b:k": "of b", "a:sub:k": "nested", "k": "none"} {
		if got := get(t, memory, key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	var keys []string
	for key, err := range store.Scan(t.Context(), a, "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if fmt.Sprint(keys) != "[k sub:k]" {
		t.Errorf("Scan of a part = %q", keys)
	}
	if err := store.DeletePrefix(t.Context(), a, ""); err != nil {
		t.Fatal(err)
	}
	if get(t, memory, "a:k") != "none" || get(t, memory, "b:k") != "of b" {
		t.Error("DeletePrefix of a part removed what it must not, or left what it must not")
	}
}

func TestJSON(t *testing.T) {
	kv := store.NewMemoryKV(store.MemoryConfig{})
	defer kv.Close()
	type point struct{ X, Y int }
	if err := store.SetJSON(t.Context(), kv, "p", point{1, 2}, 0); err != nil {
		t.Fatal(err)
	}
	if got := get(t, kv, "p"); got != `{"X":1,"Y":2}` {
		t.Errorf("SetJSON has set %s", got)
	}
	if got, err := store.GetJSON[point](t.Context(), kv, "p"); err != nil || got != (point{1, 2}) {
		t.Errorf("GetJSON = %v, %v", got, err)
	}
	if got, err := store.GetJSON[*point](t.Context(), kv, "p"); err != nil || *got != (point{1, 2}) {
		t.Errorf("GetJSON of a pointer = %v, %v", got, err)
	}
	if _, err := store.GetJSON[point](t.Context(), kv, "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("GetJSON of nothing = %v, want ErrNotFound", err)
	}
	set(t, kv, "bad", `{"X":1,"Y":`, 0)
	if got, err := store.GetJSON[point](t.Context(), kv, "bad"); err == nil || got != (point{}) {
		t.Errorf("GetJSON of half a value = %v, %v, want zero and an error", got, err)
	}
	if err := store.SetJSON(t.Context(), kv, "bad", func() {}, 0); err == nil {
		t.Error("SetJSON of a function has no error")
	}
	if got := get(t, kv, "bad"); got != `{"X":1,"Y":` {
		t.Errorf("a failed SetJSON has set %q", got)
	}
}
