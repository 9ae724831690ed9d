package storetest_test

import (
	"testing"

	"github.com/goceleris/celeris/internal/leak"
	"github.com/goceleris/celeris/middleware/store"
	"github.com/goceleris/celeris/middleware/store/storetest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func memory(t *testing.T) *store.MemoryKV {
	kv := store.NewMemoryKV(store.MemoryConfig{})
	t.Cleanup(func() { kv.Close() })
	return kv
}

func TestRun_MemoryKV(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.KV { return memory(t) }, store.AllAbilities)
}

func TestRun_Prefixed(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.KV {
		kv := memory(t)
		for _, key := range []string{"p", "p:", "other", "p;", "p:\xff"} { // of others, or no key of ours
			if err := kv.Set(t.Context(), key, []byte("x"), 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := kv.Delete(t.Context(), "p:\xff"); err != nil {
			t.Fatal(err)
		}
		return store.Prefixed(kv, "p:")
	}, store.AllAbilities)
}

func TestRun_WithoutAbilities(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.KV { return struct{ store.KV }{memory(t)} }, 0)
}
