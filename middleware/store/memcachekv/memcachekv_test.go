package memcachekv_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/goceleris/celeris/internal/leak"
	"github.com/goceleris/celeris/internal/testserver"
	"github.com/goceleris/celeris/middleware/store"
	"github.com/goceleris/celeris/middleware/store/memcachekv"
	"github.com/goceleris/celeris/middleware/store/storetest"
)

func TestMain(m *testing.M) { leak.Main(m) }

const abilities = store.CanIncrement | store.CanSetNX | store.CanGetAndDelete | store.CanMGet

// client returns a client of a server that waits for a busy one, closed with the test.
func client(t *testing.T, addr string) *memcache.Client {
	c := memcache.New(addr)
	c.Timeout, c.MaxIdleConns = 10*time.Second, 16
	t.Cleanup(func() { c.Close() })
	return c
}

func TestKV_Contract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.KV {
		t.Parallel() // much of it is waiting for seconds
		return memcachekv.New(client(t, testserver.Memcached(t).Addr))
	}, abilities)
}

// What memcached takes is its own to say; it is told apart from other failures, and the limit is nearly reached.
func TestKV_TooLarge(t *testing.T) {
	c := client(t, testserver.Memcached(t).Addr)
	ctx := t.Context()
	random := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		key := fmt.Sprintf("%0*d", 1+random.IntN(250), 0)
		fits := 1<<20 - len(key) - 64
		kv := memcachekv.New(c)
		if err := kv.Set(ctx, key, make([]byte, fits), 0); err != nil {
			t.Fatalf("Set of %d bytes with a key of %d: %v", fits, len(key), err)
		}
		if value, err := kv.Get(ctx, key); err != nil || len(value) != fits {
			t.Fatalf("Get = %d bytes, %v, want %d", len(value), err, fits)
		}
		if err := kv.Set(ctx, key, make([]byte, fits+1), 0); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("Set of a byte more = %v, want ErrTooLarge", err)
		}
		if _, err := kv.Get(ctx, key); err != nil {
			t.Errorf("a Set that was refused has lost the value: %v", err)
		}
	}

	// The server refuses what this side takes for right.
	kv := memcachekv.NewSize(c, 4<<20)
	if err := kv.Set(ctx, "a", make([]byte, 3<<20), 0); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Set of 3 MB = %v, want ErrTooLarge", err)
	}
	large := memcachekv.NewSize(client(t, testserver.Memcached(t, "-I", "4m", "-m", "128").Addr), 4<<20)
	if err := large.Set(ctx, "a", make([]byte, 3<<20), 0); err != nil {
		t.Errorf("Set of 3 MB where 4 fit: %v", err)
	}
	if value, err := large.Get(ctx, "a"); err != nil || len(value) != 3<<20 {
		t.Errorf("Get = %d bytes, %v", len(value), err)
	}
}

func TestKV_ServerKilledAndStartedAgain(t *testing.T) {
	server := testserver.Memcached(t)
	kv := memcachekv.New(client(t, server.Addr))
	ctx := t.Context()
	if err := kv.Set(ctx, "a", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if _, err := kv.Get(ctx, "a"); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get without a server = %v, want an error that isn't ErrNotFound", err)
	}
	server.Start()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := kv.Get(ctx, "a")
		if errors.Is(err, store.ErrNotFound) {
			break
		}
		if err == nil || time.Now().After(end) {
			t.Fatalf("Get from a new server = %v, want ErrNotFound", err)
		}
	}
}

func TestKV_ServerPaused(t *testing.T) {
	leak.Check(t)
	server := testserver.Memcached(t)
	c := client(t, server.Addr)
	c.Timeout = time.Second
	defer c.Close()
	kv := memcachekv.New(c)
	server.Pause()
	storetest.Paused(t, kv)
	server.Resume()
	if err := kv.Set(t.Context(), "a", nil, 0); err != nil {
		t.Errorf("Set after the pause: %v", err)
	}
}

// With two servers, each has a part of the keys.
func TestKV_TwoServers(t *testing.T) {
	c := memcache.New(testserver.Memcached(t).Addr, testserver.Memcached(t).Addr)
	defer c.Close()
	c.Timeout = 10 * time.Second
	kv := memcachekv.New(c)
	var keys []string
	for n := range 50 {
		keys = append(keys, fmt.Sprintf("key %d", n))
		if err := kv.Set(t.Context(), keys[n], fmt.Append(nil, n), 0); err != nil {
			t.Fatal(err)
		}
	}
	values, err := kv.MGet(t.Context(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	for n, value := range values {
		if string(value) != fmt.Sprint(n) {
			t.Errorf("%s = %q", keys[n], value)
		}
	}
}

func ExampleNew() {
	client := memcache.New("localhost:11211")
	defer client.Close()
	pages := store.Prefixed(memcachekv.New(client), "page:")
	fmt.Println(store.AbilitiesOf(pages))
	// Output: Increment, SetNX, GetAndDelete, MGet
}
