package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/internal/leak"
	"github.com/goceleris/celeris/middleware/store"
)

func TestMain(m *testing.M) { leak.Main(m) }

func set(t *testing.T, kv store.KV, key, value string, ttl time.Duration) {
	t.Helper()
	if err := kv.Set(t.Context(), key, []byte(value), ttl); err != nil {
		t.Fatalf("Set(%q): %v", key, err)
	}
}

// get returns the value of key, or "none".
func get(t *testing.T, kv store.KV, key string) string {
	t.Helper()
	value, err := kv.Get(t.Context(), key)
	if errors.Is(err, store.ErrNotFound) {
		return "none"
	}
	if err != nil {
		t.Fatalf("Get(%q): %v", key, err)
	}
	return string(value)
}

func TestMemoryKV_TTLToTheNanosecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := store.NewMemoryKV(store.MemoryConfig{})
		defer kv.Close()
		set(t, kv, "a", "1", time.Minute)
		time.Sleep(time.Minute - 1)
		if got := get(t, kv, "a"); got != "1" {
			t.Errorf("a nanosecond before its end: %q, want 1", got)
		}
		time.Sleep(time.Nanosecond)
		if got := get(t, kv, "a"); got != "none" {
			t.Errorf("at its end: %q, want none", got)
		}
	})
}

// Nobody has to ask for a value for it to be freed.
func TestMemoryKV_SweepsWhatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := store.NewMemoryKV(store.MemoryConfig{})
		defer kv.Close()
		for n := range 5000 {
			set(t, kv, fmt.Sprint(n), "x", time.Duration(1+n%3)*time.Minute)
		}
		set(t, kv, "stays", "x", 0)
		for minutes, want := range []int{5001, 3334, 1667, 1} {
			if got := kv.Stats().Keys; got != want {
				t.Errorf("after %d minutes: %d keys, want %d", minutes, got, want)
			}
			time.Sleep(time.Minute)
			if minutes == 0 {
				time.Sleep(10 * time.Second) // a sweep later
			}
		}
		stats := kv.Stats()
		if stats.Expired != 5000 || stats.Evicted != 0 {
			t.Errorf("expired %d, evicted %d, want 5000 and 0", stats.Expired, stats.Evicted)
		}
		if stats.Bytes < 1 || stats.Bytes > 200 {
			t.Errorf("one key takes %d bytes", stats.Bytes)
		}

		// The timer starts again for a value that comes after all others have gone.
		set(t, kv, "late", "x", time.Second)
		time.Sleep(10 * time.Second)
		if got := kv.Stats().Keys; got != 1 {
			t.Errorf("%d keys, want 1", got)
		}
	})
}

// While it waits for the next sweep, and after Close, a store has no goroutine: the bubble would not end.
func TestMemoryKV_NoGoroutines(t *testing.T) {
	leak.Check(t)
	synctest.Test(t, func(t *testing.T) {
		before := runtime.NumGoroutine()
		kv := store.NewMemoryKV(store.MemoryConfig{})
		set(t, kv, "a", "1", time.Hour)
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines, %d before", n, before)
		}
		kv.Close()
	})
	// Close waits for a sweep that is running.
	for range 20 {
		kv := store.NewMemoryKV(store.MemoryConfig{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for n := range 100 {
					kv.Set(t.Context(), fmt.Sprint(n), nil, 1)
				}
			})
		}
		kv.Close()
		wg.Wait()
		kv.Close()
		if stats := kv.Stats(); stats.Keys != 0 || stats.Bytes != 0 {
			t.Fatalf("after Close: %+v", stats)
		}
	}
}

func TestMemoryKV_CloseDuringASweep(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			kv := store.NewMemoryKV(store.MemoryConfig{})
			for n := range 2000 {
				set(t, kv, fmt.Sprint(n), "x", time.Second)
			}
			time.Sleep(5 * time.Second) // the sweep begins now
			kv.Close()
		})
	}
}

func TestMemoryKV_AfterClose(t *testing.T) {
	kv := store.NewMemoryKV(store.MemoryConfig{})
	set(t, kv, "a", "1", 0)
	kv.Close()
	ctx := t.Context()
	check := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close = %v, want ErrClosed", what, err)
		}
	}
	_, err := kv.Get(ctx, "a")
	check("Get", err)
	check("Set", kv.Set(ctx, "a", nil, 0))
	check("Set with a ttl", kv.Set(ctx, "a", nil, time.Hour))
	check("Delete", kv.Delete(ctx, "a"))
	_, err = kv.Increment(ctx, "a", 1, 0)
	check("Increment", err)
	_, err = kv.SetNX(ctx, "a", nil, 0)
	check("SetNX", err)
	_, err = kv.GetAndDelete(ctx, "a")
	check("GetAndDelete", err)
	_, err = kv.MGet(ctx, "a")
	check("MGet", err)
	for _, err := range kv.Scan(ctx, "") {
		check("Scan", err)
	}
	check("DeletePrefix", kv.DeletePrefix(ctx, ""))
}

// The least recently used key goes first, whichever shard it is in.
func TestMemoryKV_EvictsTheLeastRecentlyUsed(t *testing.T) {
	for _, shards := range []int{1, 8} {
		t.Run(fmt.Sprint(shards), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const keys = 20
				kv := store.NewMemoryKV(store.MemoryConfig{MaxBytes: keys * 300, Shards: shards})
				defer kv.Close()
				value := strings.Repeat("x", 300-160-2)
				for n := range keys {
					set(t, kv, fmt.Sprintf("%02d", n), value, 0)
					time.Sleep(time.Millisecond)
				}
				if stats := kv.Stats(); stats.Bytes != stats.MaxBytes || stats.Evicted != 0 {
					t.Fatalf("full: %+v", stats)
				}
				for _, key := range []string{"00", "03"} {
					get(t, kv, key)
					time.Sleep(time.Millisecond)
				}
				if _, err := kv.MGet(t.Context(), "05"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Millisecond)
				for n := range 5 {
					set(t, kv, fmt.Sprintf("n%d", n), value, 0)
					time.Sleep(time.Millisecond)
				}
				if stats := kv.Stats(); stats.Bytes > stats.MaxBytes || stats.Keys != keys || stats.Evicted != 5 {
					t.Errorf("after 5 more: %+v", stats)
				}
				for n := range 10 {
					key := fmt.Sprintf("%02d", n)
					want := "none"
					if n == 0 || n == 3 || n == 5 || n > 7 {
						want = value
					}
					if got := get(t, kv, key); got != want {
						t.Errorf("key %s: %.10q, want %.10q", key, got, want)
					}
				}
			})
		})
	}
}

func TestMemoryKV_EvictsTheExpiredFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := store.NewMemoryKV(store.MemoryConfig{MaxBytes: 2000})
		defer kv.Close()
		value := strings.Repeat("x", 300)
		set(t, kv, "old", value, 0)
		time.Sleep(time.Second)
		set(t, kv, "expired", value, time.Second)
		set(t, kv, "expiring", value, time.Minute)
		set(t, kv, "other", value, 0)
		time.Sleep(time.Second)
		set(t, kv, "new", value, 0)
		for _, key := range []string{"old", "expiring", "other", "new"} {
			if got := get(t, kv, key); got != value {
				t.Errorf("%s = %.10q", key, got)
			}
		}
		if stats := kv.Stats(); stats.Expired != 1 || stats.Evicted != 0 {
			t.Errorf("%+v, want one expired and none evicted", stats)
		}
	})
}

func TestMemoryKV_TooLarge(t *testing.T) {
	kv := store.NewMemoryKV(store.MemoryConfig{MaxBytes: 1000})
	defer kv.Close()
	set(t, kv, "a", "1", 0)
	for _, call := range []func() error{
		func() error { return kv.Set(t.Context(), "a", make([]byte, 1000), 0) },
		func() error { _, err := kv.SetNX(t.Context(), "b", make([]byte, 1000), 0); return err },
		func() error { _, err := kv.Increment(t.Context(), strings.Repeat("k", 1000), 1, 0); return err },
	} {
		if err := call(); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("error = %v, want ErrTooLarge", err)
		}
	}
	if got := get(t, kv, "a"); got != "1" {
		t.Errorf("a value was lost to one that didn't fit: %q", got)
	}
	set(t, kv, "a", strings.Repeat("x", 1000-160-1), 0) // as large as may be, in its own place
}

// The bound holds at every moment, whoever writes.
func TestMemoryKV_BoundUnderLoad(t *testing.T) {
	kv := store.NewMemoryKV(store.MemoryConfig{MaxBytes: 50_000, Shards: 4})
	defer kv.Close()
	ctx := t.Context()
	var wg, watch sync.WaitGroup
	done := make(chan struct{})
	watch.Go(func() {
		for {
			if stats := kv.Stats(); stats.Bytes > stats.MaxBytes || stats.Bytes < 0 {
				t.Errorf("%d bytes, at most %d", stats.Bytes, stats.MaxBytes)
				return
			}
			select {
			case <-done:
				return
			default:
				runtime.Gosched()
			}
		}
	})
	for w := range 4 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for range 2000 {
				key := fmt.Sprint(random.IntN(100))
				var err error
				switch random.IntN(6) {
				case 0:
					err = kv.Delete(ctx, key)
				case 1:
					_, err = kv.Increment(ctx, "n"+key, 1, time.Duration(random.IntN(1000)))
				case 2:
					_, err = kv.Get(ctx, key)
				case 3:
					err = kv.DeletePrefix(ctx, key)
				default:
					err = kv.Set(ctx, key, make([]byte, random.IntN(20_000)), time.Duration(random.IntN(2)*random.IntN(1_000_000)))
				}
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(done)
	watch.Wait()
	if kv.Stats().Evicted == 0 {
		t.Error("the load did not reach the bound")
	}
	if err := kv.DeletePrefix(ctx, ""); err != nil {
		t.Fatal(err)
	}
	if stats := kv.Stats(); stats.Bytes != 0 || stats.Keys != 0 {
		t.Errorf("emptied: %+v", stats)
	}
}

func TestNewMemoryKV_RefusesNegativeNumbers(t *testing.T) {
	for _, config := range []store.MemoryConfig{{MaxBytes: -1}, {Shards: -1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewMemoryKV(%+v) did not panic", config)
				}
			}()
			store.NewMemoryKV(config)
		}()
	}
}

func BenchmarkMemoryKV(b *testing.B) {
	kv := store.NewMemoryKV(store.MemoryConfig{})
	defer kv.Close()
	value := make([]byte, 100)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("key", i)
		kv.Set(b.Context(), keys[i], value, 0)
	}
	b.Run("Get/bytes=100", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for n := 0; pb.Next(); n++ {
				kv.Get(b.Context(), keys[n%len(keys)])
			}
		})
	})
	b.Run("Set/bytes=100", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for n := 0; pb.Next(); n++ {
				kv.Set(b.Context(), keys[n%len(keys)], value, time.Hour)
			}
		})
	})
}
