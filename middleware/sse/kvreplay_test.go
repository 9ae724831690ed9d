package sse_test

import (
	"testing"

	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/sse/replaytest"
	"github.com/goceleris/celeris/middleware/store"
)

// eachKV runs a test with every set of abilities, without and with AsyncAppend.
func eachKV(t *testing.T, test func(t *testing.T, config func(kv *testKV) sse.KVReplayStoreConfig)) {
	t.Helper()
	for name, able := range abilities {
		for _, async := range []bool{false, true} {
			t.Run(name+map[bool]string{true: "Async"}[async], func(t *testing.T) {
				test(t, func(kv *testKV) sse.KVReplayStoreConfig {
					return sse.KVReplayStoreConfig{KV: able(kv), MaxEvents: 300, AsyncAppend: async}
				})
			})
		}
	}
}

func TestKVReplayStore_KeepsTheContract(t *testing.T) {
	eachKV(t, func(t *testing.T, config func(kv *testKV) sse.KVReplayStoreConfig) {
		replaytest.Bubbles{}.Run(t, func(t *testing.T) sse.ReplayStore { return openKV(t, config(newTestKV(t))) })
	})
}

func TestKVReplayStore_InSeveralProcesses(t *testing.T) {
	eachKV(t, func(t *testing.T, config func(kv *testKV) sse.KVReplayStoreConfig) {
		replaytest.Bubbles{}.RunShared(t, func(t *testing.T) func() sse.ReplayStore {
			kv := newTestKV(t)
			return func() sse.ReplayStore { return openKV(t, config(kv)) }
		})
	})
}

func TestKVReplayStore_WithFaults(t *testing.T) {
	eachKV(t, func(t *testing.T, config func(kv *testKV) sse.KVReplayStoreConfig) {
		replaytest.Bubbles{}.RunFaults(t, func(t *testing.T) (sse.ReplayStore, replaytest.Faults) {
			kv := newTestKV(t)
			return openKV(t, config(kv)), replaytest.Faults{
				Lose:   kv.lose,
				Rewind: func() func() { return kv.rewind(t) },
			}
		})
	})
}

func TestKVReplayStore_HasTheAbilitiesOfItsKV(t *testing.T) {
	for name, able := range abilities {
		for _, async := range []bool{false, true} {
			s := openKV(t, sse.KVReplayStoreConfig{KV: able(newTestKV(t)), AsyncAppend: async})
			_, follower := s.(sse.Follower)
			_, flusher := s.(sse.Flusher)
			if want := !async && (name == "All" || name == "NoMGet"); follower != want {
				t.Errorf("%s, async %t: is a Follower: %t, want %t", name, async, follower, want)
			}
			if flusher != async {
				t.Errorf("%s, async %t: is a Flusher: %t", name, async, flusher)
			}
		}
	}
}

func TestNewKVReplayStore_RefusesWhatItCannotDo(t *testing.T) {
	kv := store.NewMemoryKV(store.MemoryConfig{})
	defer kv.Close()
	for name, config := range map[string]sse.KVReplayStoreConfig{
		"no KV":               {},
		"negative MaxEvents":  {KV: kv, MaxEvents: -1},
		"negative TTL":        {KV: kv, TTL: -1},
		"negative backlog":    {KV: kv, AsyncAppendBacklog: -1},
		"long Prefix":         {KV: kv, Prefix: string(make([]byte, 65))},
		"numeric CounterKey":  {KV: kv, CounterKey: "1"},
		"CounterKey of parts": {KV: kv, CounterKey: "a:b"},
		"short lease":         {KV: kv, Timeout: 3, LeaseTTL: 11},
	} {
		if s, err := sse.NewKVReplayStore(config); err == nil || s != nil {
			t.Errorf("%s: NewKVReplayStore = %v, %v, want an error", name, s, err)
		}
	}
}
