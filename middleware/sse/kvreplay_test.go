package sse_test

import (
	"testing"

	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/sse/replaytest"
	"github.com/goceleris/celeris/middleware/store"
)

// kvStore returns a store that ends with the test.
func kvStore(t *testing.T, config sse.KVReplayStoreConfig) sse.KVReplayStore {
	t.Helper()
	if config.MaxEvents == 0 {
		config.MaxEvents = 300
	}
	s, err := sse.NewKVReplayStore(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func memory(t *testing.T) *store.MemoryKV {
	t.Helper()
	kv := store.NewMemoryKV(store.MemoryConfig{})
	t.Cleanup(func() { kv.Close() })
	return kv
}

func TestKVReplayStore_KeepsTheContract(t *testing.T) {
	for _, async := range []bool{false, true} {
		name := map[bool]string{false: "Append", true: "AsyncAppend"}[async]
		t.Run(name, func(t *testing.T) {
			replaytest.Run(t, func(t *testing.T) sse.ReplayStore {
				return kvStore(t, sse.KVReplayStoreConfig{KV: memory(t), AsyncAppend: async})
			})
		})
	}
}
