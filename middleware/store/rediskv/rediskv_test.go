package rediskv_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris/internal/leak"
	"github.com/goceleris/celeris/internal/testserver"
	"github.com/goceleris/celeris/middleware/store"
	"github.com/goceleris/celeris/middleware/store/rediskv"
	"github.com/goceleris/celeris/middleware/store/storetest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// client returns a client of a server, closed with the test.
func client(t *testing.T, options *redis.Options) *redis.Client {
	c := redis.NewClient(options)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestKV_Contract(t *testing.T) {
	t.Parallel()
	c := client(t, &redis.Options{Addr: testserver.Redis(t).Addr})
	storetest.Run(t, func(t *testing.T) store.KV {
		if err := c.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		return rediskv.New(c)
	}, store.AllAbilities)
}

// eventually waits until f has no error.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

func TestKV_ServerKilledAndStartedAgain(t *testing.T) {
	server := testserver.Redis(t, testserver.RedisDurable()...)
	kv := rediskv.New(client(t, &redis.Options{Addr: server.Addr}))
	ctx := t.Context()
	if _, err := kv.Increment(ctx, "n", 41, time.Hour); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if _, err := kv.Get(ctx, "n"); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get without a server = %v, want an error that isn't ErrNotFound", err)
	}
	for _, err := range kv.Scan(ctx, "") {
		if err == nil {
			t.Error("Scan without a server has keys")
		}
	}
	server.Start()
	// The server has forgotten the script, but not the number.
	n, err := kv.Increment(ctx, "n", 1, time.Hour)
	if err != nil || n != 42 {
		t.Errorf("Increment after the server's return = %d, %v, want 42", n, err)
	}
}

func TestKV_ServerPaused(t *testing.T) {
	leak.Check(t)
	server := testserver.Redis(t)
	c := client(t, &redis.Options{Addr: server.Addr, ReadTimeout: time.Second, MaxRetries: -1})
	defer c.Close()
	kv := rediskv.New(c)
	if err := kv.Set(t.Context(), "key", nil, 0); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	storetest.Paused(t, kv)
	server.Resume()
	eventually(t, "Get after the pause", func() error {
		_, err := kv.Get(t.Context(), "other")
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
}

func TestKV_ServerFullOrReadOnly(t *testing.T) {
	c := client(t, &redis.Options{Addr: testserver.Redis(t, "--maxmemory-policy", "noeviction").Addr, MaxRetries: -1})
	kv := rediskv.New(c)
	ctx := t.Context()
	if err := kv.Set(ctx, "n", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	for what, setting := range map[string][2]string{"OOM": {"maxmemory", "1"}, "NOREPLICAS": {"min-replicas-to-write", "1"}} {
		if err := c.ConfigSet(ctx, setting[0], setting[1]).Err(); err != nil {
			t.Fatal(err)
		}
		refused := func(method string, err error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%s on a server that refuses to write = %v, want %s", method, err, what)
			}
		}
		refused("Set", kv.Set(ctx, "a", nil, 0))
		_, err := kv.Increment(ctx, "n", 1, 0)
		refused("Increment", err)
		_, err = kv.SetNX(ctx, "a", nil, 0)
		refused("SetNX", err)
		if value, err := kv.Get(ctx, "n"); err != nil || string(value) != "1" {
			t.Errorf("Get = %q, %v", value, err)
		}
		if err := c.ConfigSet(ctx, setting[0], "0").Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// deaf is a connection that breaks when its owner would read the answer to what it has sent.
type deaf struct {
	net.Conn
	broken *atomic.Int32 // how many answers will be lost
}

func (c deaf) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.broken.Add(-1) >= 0 {
		c.Close()
		return 0, net.ErrClosed
	}
	c.broken.Store(0)
	return n, err
}

// A lost answer is an error, and not a second increment.
func TestKV_SendsWhatCountsOnce(t *testing.T) {
	addr := testserver.Redis(t).Addr
	var broken atomic.Int32
	kv := rediskv.New(client(t, &redis.Options{
		Addr: addr,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, addr)
			return deaf{conn, &broken}, err
		},
	}))
	ctx := t.Context()
	for _, key := range []string{"n", "m"} {
		if _, err := kv.Increment(ctx, key, 1, 0); err != nil { // the script is known from now on
			t.Fatal(err)
		}
	}
	// breakNext loses the next answer, on a connection that has been greeted.
	breakNext := func() {
		t.Helper()
		if _, err := kv.MGet(ctx, "n"); err != nil {
			t.Fatal(err)
		}
		broken.Store(1)
	}
	breakNext()
	if n, err := kv.Increment(ctx, "n", 1, 0); err == nil {
		t.Errorf("Increment whose answer was lost = %d, want an error", n)
	}
	breakNext()
	if _, err := kv.SetNX(ctx, "lock", []byte("mine"), 0); err == nil {
		t.Error("SetNX whose answer was lost has no error")
	}
	breakNext()
	if _, err := kv.GetAndDelete(ctx, "m"); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("GetAndDelete whose answer was lost = %v, want an error that isn't ErrNotFound", err)
	}
	if value, err := kv.Get(ctx, "m"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("m = %q, %v, want it gone: it was sent once", value, err)
	}
	for key, want := range map[string]string{"n": "2", "lock": "mine"} {
		if value, err := kv.Get(ctx, key); err != nil || string(value) != want {
			t.Errorf("%s = %q, %v, want %s: it was sent once", key, value, err, want)
		}
	}
	breakNext()
	if value, err := kv.Get(ctx, "n"); err != nil || string(value) != "2" {
		t.Errorf("Get whose first answer was lost = %q, %v: it should be repeated", value, err)
	}
}

func TestKV_RingScansNothing(t *testing.T) {
	server := testserver.Redis(t)
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": server.Addr}})
	defer ring.Close()
	kv := rediskv.New(ring)
	if err := kv.Set(t.Context(), "a", nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := kv.DeletePrefix(t.Context(), ""); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("DeletePrefix on a ring = %v, want ErrUnsupported", err)
	}
	if values, err := kv.MGet(t.Context(), "a", "b"); err != nil || values[0] == nil || values[1] != nil {
		t.Errorf("MGet on a ring = %q, %v", values, err)
	}
}

// What is kept has the ttl that was given, as Redis sees it.
func TestKV_TTLAsRedisSeesIt(t *testing.T) {
	c := client(t, &redis.Options{Addr: testserver.Redis(t).Addr})
	kv := rediskv.New(c)
	ctx := t.Context()
	for name, set := range map[string]func(ttl time.Duration) error{
		"Set":       func(ttl time.Duration) error { return kv.Set(ctx, "k", nil, ttl) },
		"SetNX":     func(ttl time.Duration) error { _, err := kv.SetNX(ctx, "k", nil, ttl); return err },
		"Increment": func(ttl time.Duration) error { _, err := kv.Increment(ctx, "k", 1, ttl); return err },
	} {
		for _, ttl := range []time.Duration{0, time.Hour, time.Hour + 1} {
			c.Del(ctx, "k")
			if err := set(ttl); err != nil {
				t.Fatal(err)
			}
			got := c.PTTL(ctx, "k").Val()
			if ttl == 0 && got != -1 || ttl > 0 && (got > time.Hour+time.Millisecond || got < time.Hour-time.Minute) {
				t.Errorf("%s with ttl %v: PTTL = %v", name, ttl, got)
			}
		}
	}
}

func ExampleNew() {
	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{"localhost:6379"}})
	defer client.Close()
	sessions := store.Prefixed(rediskv.New(client), "session:")
	fmt.Println(store.AbilitiesOf(sessions))
	// Output: Increment, SetNX, GetAndDelete, MGet, Scan, DeletePrefix
}
