package sse_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris/internal/testserver"
	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/sse/replaytest"
	"github.com/goceleris/celeris/middleware/store"
	"github.com/goceleris/celeris/middleware/store/memcachekv"
	"github.com/goceleris/celeris/middleware/store/pgkv"
	"github.com/goceleris/celeris/middleware/store/rediskv"
)

func redisKV(t *testing.T, addr string) store.KV {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { client.Close() })
	return rediskv.New(client)
}

func postgresKV(t *testing.T, dsn string) store.KV {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	kv := pgkv.New(pool)
	if err := kv.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return kv
}

func memcachedKV(t *testing.T, addr string) store.KV {
	t.Helper()
	client := memcache.New(addr)
	client.MaxIdleConns = 16
	t.Cleanup(func() { client.Close() })
	return memcachekv.New(client)
}

// serverKVs start a server and return what connects another process to it.
var serverKVs = map[string]func(t *testing.T) (connect func(t *testing.T) store.KV){
	"Redis": func(t *testing.T) func(t *testing.T) store.KV {
		server := testserver.Redis(t)
		return func(t *testing.T) store.KV { return redisKV(t, server.Addr) }
	},
	"Postgres": func(t *testing.T) func(t *testing.T) store.KV {
		server := testserver.Postgres(t)
		return func(t *testing.T) store.KV { return postgresKV(t, server.DSN) }
	},
	"Memcached": func(t *testing.T) func(t *testing.T) store.KV {
		server := testserver.Memcached(t)
		return func(t *testing.T) store.KV { return memcachedKV(t, server.Addr) }
	},
}

func TestKVReplayStore_OnServers(t *testing.T) {
	for name, start := range serverKVs {
		t.Run(name, func(t *testing.T) {
			connect := start(t)
			for _, async := range []bool{false, true} {
				config := sse.KVReplayStoreConfig{
					MaxEvents: 300, AsyncAppend: async, AsyncAppendBacklog: 100_000,
					FollowInterval: 5 * time.Millisecond, Timeout: 10 * time.Second,
				}
				t.Run(fmt.Sprintf("async=%t", async), func(t *testing.T) {
					kv := connect(t)
					replaytest.Run(t, func(t *testing.T) sse.ReplayStore {
						config := config
						config.KV = kv
						return openKV(t, config)
					})
					replaytest.RunShared(t, func(t *testing.T) func() sse.ReplayStore {
						return func() sse.ReplayStore {
							config := config
							config.KV = connect(t)
							return openKV(t, config)
						}
					})
				})
			}
		})
	}
}

// appended is what a publisher was told.
type appended struct {
	id  string
	err error
}

// publishAll appends from several goroutines until stop is closed, and returns what became of each record. It calls
// progress for each that is acknowledged.
func publishAll(t *testing.T, s sse.ReplayStore, stop <-chan struct{}, progress func()) map[string]appended {
	t.Helper()
	var mu sync.Mutex
	outcomes := make(map[string]appended)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				data := fmt.Sprintf("%d.%d", w, n)
				_, id, err := s.Append(t.Context(), "s", sse.Record{Event: sse.Event{Data: data}})
				mu.Lock()
				outcomes[data] = appended{id, err}
				mu.Unlock()
				if err == nil {
					progress()
				}
			}
		})
	}
	wg.Wait()
	return outcomes
}

// judge compares a stream with what its publishers were told.
func judge(t *testing.T, s sse.ReplayStore, lastID string, outcomes map[string]appended) (holes int) {
	t.Helper()
	found := make(map[string]string)
	for record, err := range s.Since(t.Context(), "s", lastID) {
		if err != nil {
			t.Fatalf("Since(%q): %v", lastID, err)
		}
		if record.Hole {
			holes++
			continue
		}
		data := record.Event.Data
		o := outcomes[data]
		if found[data] != "" {
			t.Errorf("%q is stored twice", data)
		}
		if o.err == nil && o.id != record.ID || o.err != nil && !errors.Is(o.err, sse.ErrOutcomeUnknown) {
			t.Errorf("%q is stored as %q, but Append returned %q, %v", data, record.ID, o.id, o.err)
		}
		found[data] = record.ID
	}
	for data, o := range outcomes {
		if o.err == nil && found[data] == "" {
			t.Errorf("%q is missing, but Append returned %q", data, o.id)
		}
	}
	return holes
}

// testRestart kills a server while records are published, and starts it again.
func testRestart(t *testing.T, config sse.KVReplayStoreConfig, kill, start func()) {
	t.Helper()
	config.MaxEvents = 100_000
	s := openKV(t, config)
	first := appendKV(t, s, "first")
	acknowledged := make(chan struct{}, 1)
	some := func() {
		t.Helper()
		for range 20 {
			select {
			case <-acknowledged:
			case <-time.After(time.Minute):
				t.Fatal("nothing is acknowledged")
			}
		}
	}
	stop, done := make(chan struct{}), make(chan map[string]appended)
	go func() {
		done <- publishAll(t, s, stop, func() {
			select {
			case acknowledged <- struct{}{}:
			default:
			}
		})
	}()
	some()
	kill()
	// Once nothing answers, appends fail.
	for ctx, cancel := context.WithTimeout(t.Context(), time.Minute); ; {
		if _, _, err := s.Append(ctx, "s", sse.Record{Hole: true}); err != nil {
			cancel()
			break
		}
	}
	start()
	some()
	close(stop)
	outcomes := <-done
	count := map[string]int{}
	for _, o := range outcomes {
		switch {
		case o.err == nil:
			count["stored"]++
		case errors.Is(o.err, sse.ErrOutcomeUnknown):
			count["unknown"]++
		default:
			count["failed"]++
		}
	}
	holes := judge(t, s, first, outcomes)
	t.Logf("%v, %d holes", count, holes)
}

func TestKVReplayStore_PostgresRestarts(t *testing.T) {
	server := testserver.Postgres(t)
	testRestart(t, sse.KVReplayStoreConfig{KV: postgresKV(t, server.DSN)}, server.Kill, server.Start)
}

func TestKVReplayStore_RedisRestarts(t *testing.T) {
	server := testserver.Redis(t, testserver.RedisDurable()...)
	testRestart(t, sse.KVReplayStoreConfig{KV: redisKV(t, server.Addr)}, server.Kill, server.Start)
}
