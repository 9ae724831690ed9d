package sse_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/store"
)

// partition is the way of one process to a KV.
type partition struct {
	store.KV
	store.SetNXer
	store.Counter
	down *atomic.Bool
}

func newPartition(kv *testKV) partition { return partition{kv, kv, kv, new(atomic.Bool)} }

func (p partition) check() error {
	if p.down.Load() {
		return errKV
	}
	return nil
}

func (p partition) Get(ctx context.Context, key string) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	return p.KV.Get(ctx, key)
}

func (p partition) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := p.check(); err != nil {
		return err
	}
	return p.KV.Set(ctx, key, value, ttl)
}

func (p partition) Delete(ctx context.Context, key string) error {
	if err := p.check(); err != nil {
		return err
	}
	return p.KV.Delete(ctx, key)
}

func (p partition) SetNX(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := p.check(); err != nil {
		return false, err
	}
	return p.SetNXer.SetNX(ctx, key, value, ttl)
}

func (p partition) Increment(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	if err := p.check(); err != nil {
		return 0, err
	}
	return p.Counter.Increment(ctx, key, delta, ttl)
}

// owners are the kinds of KV on which a stream belongs to one process.
var owners = map[string]func(p partition) sse.KVReplayStoreConfig{
	"async": func(p partition) sse.KVReplayStoreConfig { return sse.KVReplayStoreConfig{KV: p, AsyncAppend: true} },
	"no counter": func(p partition) sse.KVReplayStoreConfig {
		return sse.KVReplayStoreConfig{KV: struct {
			store.KV
			store.SetNXer
		}{p, p}}
	},
	"no SetNX": func(p partition) sse.KVReplayStoreConfig {
		return sse.KVReplayStoreConfig{KV: struct {
			store.KV
			store.Counter
		}{p, p}}
	},
	"nothing": func(p partition) sse.KVReplayStoreConfig {
		return sse.KVReplayStoreConfig{KV: struct{ store.KV }{p}}
	},
}

func eachOwner(t *testing.T, test func(t *testing.T, open func() (sse.KVReplayStore, partition))) {
	t.Helper()
	for name, config := range owners {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kv := newTestKV(t)
				test(t, func() (sse.KVReplayStore, partition) {
					p := newPartition(kv)
					s, err := sse.NewKVReplayStore(config(p))
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() {
						ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
						defer cancel()
						_ = s.Close(ctx) // cut short where the KV is down
					})
					return s, p
				})
			})
		})
	}
}

func wantInUse(t *testing.T, s sse.ReplayStore) {
	t.Helper()
	if _, id, err := s.Append(t.Context(), "s", sse.Record{}); !errors.Is(err, sse.ErrStreamInUse) {
		t.Errorf("Append = %q, %v, want ErrStreamInUse", id, err)
	}
	if _, _, err := s.Open(t.Context(), "s"); !errors.Is(err, sse.ErrStreamInUse) {
		t.Errorf("Open = %v, want ErrStreamInUse", err)
	}
	if _, err := dataSince(t, s, ""); !errors.Is(err, sse.ErrStreamInUse) {
		t.Errorf("Since = %v, want ErrStreamInUse", err)
	}
}

func TestKVReplayStore_LeaseIsKeptAndTakenOver(t *testing.T) {
	eachOwner(t, func(t *testing.T, open func() (sse.KVReplayStore, partition)) {
		a, way := open()
		b, _ := open()
		first := appendKV(t, a, "1")
		for range 10 {
			time.Sleep(7 * time.Second)
			wantInUse(t, b)
		}
		appendKV(t, a, "2")
		synctest.Wait()

		// The process is cut off, and knows before anybody else may have its stream.
		way.down.Store(true)
		began := time.Now()
		for {
			time.Sleep(100 * time.Millisecond)
			if _, _, err := b.Open(t.Context(), "s"); err == nil {
				break
			}
			if time.Since(began) > 20*time.Second {
				t.Fatal("the lease of a process that is cut off doesn't end")
			}
		}
		appendKV(t, b, "3")
		way.down.Store(false)
		wantInUse(t, a)

		// All that was acknowledged is there. What can't be known is a hole.
		got, err := dataSince(t, b, first)
		if err != nil || len(got) < 2 || got[0] != "2" || got[len(got)-1] != "3" {
			t.Errorf("Since = %q, %v, want 2, holes perhaps, and 3", got, err)
		}
		// The one that goes on may be asked again.
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		last := appendKV(t, a, "4")
		wantData(t, a, last)
		if again, err := dataSince(t, a, first); err != nil || len(again) < len(got)+1 || again[len(again)-1] != "4" {
			t.Errorf("Since = %q, %v, want %q and 4", again, err, got)
		}
	})
}

func TestKVReplayStore_RecoversItsLeaseFromAnOutage(t *testing.T) {
	eachOwner(t, func(t *testing.T, open func() (sse.KVReplayStore, partition)) {
		a, way := open()
		first := appendKV(t, a, "1")
		synctest.Wait()
		way.down.Store(true)
		time.Sleep(time.Minute)
		if _, _, err := a.Append(t.Context(), "s", sse.Record{}); !errors.Is(err, errKV) {
			t.Errorf("Append while the KV is down = %v, want its error", err)
		}
		way.down.Store(false)
		appendKV(t, a, "2")
		appendKV(t, a, "3")
		wantData(t, a, first, "2", "3")
	})
}

func TestKVReplayStore_CrashOfAsyncAppendLeavesAHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := newTestKV(t)
		way := newPartition(kv)
		a, err := sse.NewKVReplayStore(sse.KVReplayStoreConfig{KV: way, AsyncAppend: true})
		if err != nil {
			t.Fatal(err)
		}
		first := appendKV(t, a, "1")
		appendKV(t, a, "2")
		synctest.Wait()
		way.down.Store(true)
		used := map[string]bool{}
		for n := range 4 {
			used[appendKV(t, a, fmt.Sprint("lost ", n))] = true // clients have seen these
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close with a KV that is down = %v, want DeadlineExceeded", err)
		}
		time.Sleep(time.Minute)

		b := openKV(t, sse.KVReplayStoreConfig{KV: kv, AsyncAppend: true})
		id := appendKV(t, b, "3")
		if used[id] {
			t.Errorf("the ID %q was used twice", id)
		}
		got, err := dataSince(t, b, first)
		if err != nil || len(got) < 3 || got[0] != "2" || got[1] != "HOLE" || got[len(got)-1] != "3" {
			t.Errorf("Since = %q, %v, want 2, holes and 3", got, err)
		}
		for id := range used {
			// Who has seen something that is lost is told that there is a hole.
			if got, err := dataSince(t, b, id); err != nil || len(got) < 2 || got[0] != "HOLE" {
				t.Errorf("Since(%q) = %q, %v, want a hole first", id, got, err)
			}
		}
	})
}

func TestKVReplayStore_CleanEndsLeaveNoHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := newTestKV(t)
		var first string
		var want []string
		for n := range 5 {
			s := openKV(t, sse.KVReplayStoreConfig{KV: kv, AsyncAppend: n != 2})
			for m := range n + 1 {
				data := fmt.Sprintf("%d.%d", n, m)
				id := appendKV(t, s, data)
				if first == "" {
					first = id
				} else {
					want = append(want, data)
				}
			}
			wantData(t, s, first, want...)
			if err := s.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		s := openKV(t, sse.KVReplayStoreConfig{KV: kv})
		began := time.Now()
		wantData(t, s, first, want...)
		if waited := time.Since(began); waited > 0 {
			t.Errorf("a reader waited %v for what nobody will write", waited)
		}
	})
}

func TestKVReplayStore_ForgetsIdleStreams(t *testing.T) {
	for _, async := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			kv := newTestKV(t)
			a := openKV(t, sse.KVReplayStoreConfig{KV: kv, AsyncAppend: async})
			b := openKV(t, sse.KVReplayStoreConfig{KV: kv, AsyncAppend: async})
			sse.LimitKVStreams(a, 10)
			ids := make([]string, 50)
			for round := range 2 {
				for n := range ids {
					_, id, err := a.Append(t.Context(), fmt.Sprint(n), sse.Record{Event: sse.Event{Data: fmt.Sprint(round)}})
					if err != nil {
						t.Fatalf("Append to stream %d: %v", n, err)
					}
					if round == 0 {
						ids[n] = id
					}
				}
				synctest.Wait()
				if got := sse.CountKVStreams(a); got > 10 {
					t.Errorf("%d streams are remembered, want 10", got)
				}
			}
			for n, id := range ids {
				// A stream that was forgotten is free for others.
				s := sse.ReplayStore(a)
				if n < 20 {
					s = b
				}
				var got []string
				for record, err := range s.Since(t.Context(), fmt.Sprint(n), id) {
					if err != nil {
						t.Fatalf("Since in stream %d: %v", n, err)
					}
					got = append(got, record.Event.Data)
				}
				if len(got) != 1 || got[0] != "1" {
					t.Errorf("stream %d: Since = %q, want the second record", n, got)
				}
			}
		})
	}
}
