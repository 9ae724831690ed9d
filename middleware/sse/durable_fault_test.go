package sse_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris/internal/testserver"
	"github.com/goceleris/celeris/middleware/sse"
)

// onRedis opens a broker on a log in Redis. The client is for the test to do harm.
func onRedis(t *testing.T, server *testserver.RedisServer, cfg sse.BrokerConfig) (*sse.Broker, *redis.Client) {
	t.Helper()
	s := onRedisLog(t, server.Addr)
	t.Cleanup(func() { _ = s.end(context.Background()) }) // after the broker
	client := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1})
	t.Cleanup(func() { client.Close() })
	cfg.ReplayStore = s.ReplayStore
	return newBroker(t, cfg), client
}

// sure publishes until it succeeds.
func sure(t *testing.T, b *sse.Broker, data string) (id string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q can be published", data), func() bool {
		p, err := b.Publish(t.Context(), event(data))
		if err == nil {
			id = p.ID()
		}
		return id != ""
	})
	return id
}

// testServerRestarts kills a server under a broker's publishers and starts it again. With holes set a resync may come for
// a position whose record was lost, and excuses what is missing before it.
func testServerRestarts(t *testing.T, b *sse.Broker, holes bool, kill, start func()) {
	t.Helper()
	type outcome struct {
		id  string
		err error
	}
	first := publish(t, b, "first")
	reader := listen(t, b, first)
	const publishers = 8
	var mu sync.Mutex // guards what follows
	outcomes := make(map[string]outcome)
	acked, failed := 0, 0
	try := func(data string) {
		var o outcome
		p, err := b.Publish(t.Context(), event(data))
		if err == nil {
			o.id = p.ID()
		} else if !errors.Is(err, sse.ErrStore) && !errors.Is(err, sse.ErrOutcomeUnknown) {
			t.Errorf("publish %q = %v, want ErrStore or ErrOutcomeUnknown", data, err)
		}
		o.err = err
		mu.Lock()
		defer mu.Unlock()
		if outcomes[data] = o; err == nil {
			acked++
		} else {
			failed++
		}
	}
	var publishing sync.WaitGroup
	stop := make(chan struct{})
	for p := range publishers {
		publishing.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					try(fmt.Sprintf("%d.%d", p, n))
				}
			}
		})
	}
	count := func(n *int) int { mu.Lock(); defer mu.Unlock(); return *n }
	more := func() {
		begun := count(&acked)
		eventually(t, "more is acknowledged", func() bool { return count(&acked) > begun+50 })
	}
	more()
	kill()
	eventually(t, "publishers are told", func() bool { return count(&failed) >= publishers })
	start()
	more()
	close(stop)
	publishing.Wait()
	var last string
	for n := 0; n == 0 || !slices.Contains(reader.all(), last); n++ { // a resync may have passed it
		last = fmt.Sprintf("last.%d", n)
		id := sure(t, b, last)
		eventually(t, "the reader comes to the end", func() bool { return reader.at() >= positionOf(t, id) })
	}

	got, seen, excused := reader.all(), make(map[string]bool), uint64(0)
	for i, data := range got {
		switch o := outcomes[data]; {
		case strings.HasPrefix(data, "resync"):
			if excused = positionOf(t, reader.ids[i]); !holes || data != "resync: hole" {
				t.Errorf("the reader got a %s", data)
			}
		case seen[data]:
			t.Errorf("%q came twice", data)
		case o.err != nil && !errors.Is(o.err, sse.ErrOutcomeUnknown):
			t.Errorf("%q came, though publishing it failed: %v", data, o.err)
		}
		seen[data] = true
	}
	for data, o := range outcomes {
		if o.err == nil && !seen[data] && positionOf(t, o.id) > excused {
			t.Errorf("%q was acknowledged as %s and never came", data, o.id)
		}
	}
	if excused == 0 {
		equal(t, "who resumes gets the same", listen(t, b, first).until(last), got...)
	}
	t.Logf("%d acknowledged, %d failed or unknown, resync up to %d", acked, failed, excused)
}

func TestDurable_RedisRestarts(t *testing.T) {
	server := testserver.Redis(t, testserver.RedisDurable()...)
	b, _ := onRedis(t, server, sse.BrokerConfig{History: 16, SubscriberBuffer: 16})
	testServerRestarts(t, b, false, server.Kill, server.Start)
}

func TestDurable_PostgresRestarts(t *testing.T) {
	server := testserver.Postgres(t)
	s := onKV(t, postgresKV(t, server.DSN), false)
	t.Cleanup(func() { _ = s.end(context.Background()) })
	b := newBroker(t, sse.BrokerConfig{ReplayStore: s.ReplayStore})
	testServerRestarts(t, b, true, server.Kill, server.Start)
}

// TestDurable_RedisIsPaused has an append that nobody answers. What was told as unknown is there, once, when Redis goes on.
func TestDurable_RedisIsPaused(t *testing.T) {
	server := testserver.Redis(t)
	b, _ := onRedis(t, server, sse.BrokerConfig{StoreTimeout: 100 * time.Millisecond})
	first := publish(t, b, "first")
	reader := listen(t, b, first)
	server.Pause()
	_, err := b.Publish(t.Context(), event("sent"))
	is(t, "publish while Redis is silent", err, sse.ErrOutcomeUnknown)
	is(t, "its reason", err, context.DeadlineExceeded)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Publish(ctx, event("never")); !errors.Is(err, context.Canceled) || errors.Is(err, sse.ErrOutcomeUnknown) {
		t.Errorf("publish with a context that ended = %v, want context.Canceled and a known outcome", err)
	}
	server.Resume()
	sure(t, b, "last")
	// Tries for the last one may have been unknown, too, and be there.
	got := slices.Compact(reader.until("last"))
	equal(t, "the reader", got, "sent", "last")
}

// refusals make a Redis refuse to write until restore is called.
var refusals = map[string]func(ctx context.Context, c *redis.Client) (restore func() error, err error){
	"OOM": func(ctx context.Context, c *redis.Client) (func() error, error) {
		set := func(limit string) error { return c.ConfigSet(ctx, "maxmemory", limit).Err() }
		return func() error { return set("0") }, set("1")
	},
	"READONLY": func(ctx context.Context, c *redis.Client) (func() error, error) {
		return func() error { return c.ReplicaOf(ctx, "NO", "ONE").Err() }, c.ReplicaOf(ctx, "127.0.0.1", "1").Err()
	},
}

// TestDurable_RedisRefusesToWrite has publishers be told why, or events go out without an id if the broker may.
func TestDurable_RedisRefusesToWrite(t *testing.T) {
	for prefix, refuse := range refusals {
		for _, optional := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, optional=%t", prefix, optional), func(t *testing.T) {
				server := testserver.Redis(t, "--maxmemory-policy", "noeviction")
				b, client := onRedis(t, server, sse.BrokerConfig{StoreOptional: optional})
				first := publish(t, b, "first")
				reader := listen(t, b, first)
				away := publish(t, b, "second")
				reader.until("second")
				restore, err := refuse(t.Context(), client)
				if err != nil {
					t.Fatal(err)
				}
				p, err := b.Publish(t.Context(), event("refused"))
				if optional {
					if err != nil || p.ID() != "" {
						t.Errorf("publish = %q, %v, want an event without an id", p.ID(), err)
					}
					reader.until("refused")
				} else {
					is(t, "publish", err, sse.ErrStore)
					if !strings.Contains(err.Error(), prefix) || errors.Is(err, sse.ErrOutcomeUnknown) {
						t.Errorf("publish = %v, want %s and a known outcome", err, prefix)
					}
				}
				if err := restore(); err != nil {
					t.Fatal(err)
				}
				if !optional {
					sure(t, b, "last")
					equal(t, "the reader", reader.until("last"), "second", "last")
					equal(t, "who was away", listen(t, b, away).until("last"), "last")
					return
				}
				reader.until("resync: hole")
				publish(t, b, "last")
				equal(t, "the reader", reader.until("last"), "second", "refused", "resync: hole", "last")
				back := listen(t, b, away)
				back.until("resync: hole") // which leads to what is newest
				publish(t, b, "more")
				equal(t, "who was away", back.until("more"), "resync: hole", "more")
			})
		}
	}
}

const (
	redisLogKey   = "app:{events}:log"
	redisStateKey = "app:{events}:state"
)

// TestDurable_ARecordIsDamaged changes bytes in Redis.
func TestDurable_ARecordIsDamaged(t *testing.T) {
	server := testserver.Redis(t)
	b, client := onRedis(t, server, sse.BrokerConfig{})
	ids := []string{publish(t, b, "1"), publish(t, b, "2"), publish(t, b, "3")}
	_ = b.Close(t.Context())
	entries := client.XRange(t.Context(), redisLogKey, "-", "+").Val()
	if len(entries) != 3 {
		t.Fatalf("%d entries, want 3", len(entries))
	}
	client.Del(t.Context(), redisLogKey)
	for i, e := range entries {
		r := []byte(e.Values["r"].(string))
		if i == 1 {
			r[len(r)-3] ^= 1
		}
		values := []any{"p", e.Values["p"], "n", e.Values["n"], "r", r}
		if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: redisLogKey, ID: e.ID, Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	b, _ = onRedis(t, server, sse.BrokerConfig{})
	before, behind := listen(t, b, ids[0]), listen(t, b, ids[1])
	before.until("resync: hole")
	publish(t, b, "4")
	equal(t, "from before the damage", before.until("4"), "resync: hole", "4")
	equal(t, "from behind it", behind.until("4"), "3", "4")
}

// TestDurable_RedisClockJumps moves the newest position an hour ahead, as a clock does that was wrong then and is
// set back now.
func TestDurable_RedisClockJumps(t *testing.T) {
	server := testserver.Redis(t)
	b, client := onRedis(t, server, sse.BrokerConfig{})
	first := publish(t, b, "first")
	reader := listen(t, b, first)
	ahead := fmt.Sprintf("%d-0", time.Now().Add(time.Hour).UnixMilli())
	if err := client.HSet(t.Context(), redisStateKey, "last", ahead).Err(); err != nil {
		t.Fatal(err)
	}
	ids := []string{first, publish(t, b, "1"), publish(t, b, "2"), publish(t, b, "3")}
	equal(t, "the reader", reader.until("3"), "1", "2", "3")
	if !slices.IsSortedFunc(ids, byPosition(t)) {
		t.Errorf("ids are out of order: %q", ids)
	}
	equal(t, "who was away", listen(t, b, first).until("3"), "1", "2", "3")
	if st := b.Stats(); st.Epochs != 0 {
		t.Errorf("%d new epochs, want none", st.Epochs)
	}
}

// TestDurable_AnIDOfAnotherPrefix comes from another application's broker on the same Redis.
func TestDurable_AnIDOfAnotherPrefix(t *testing.T) {
	server := testserver.Redis(t)
	b, client := onRedis(t, server, sse.BrokerConfig{})
	publish(t, b, "first")
	other, err := sse.NewKVReplayStore(sse.KVReplayStoreConfig{KV: redisKV(t, server.Addr), Prefix: "other:"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	foreign := publish(t, newBroker(t, sse.BrokerConfig{ReplayStore: other}), "foreign")
	reader := listen(t, b, foreign)
	reader.until("resync: restarted")
	publish(t, b, "second")
	equal(t, "the reader", reader.until("second"), "resync: restarted", "second")
	for _, key := range client.Keys(t.Context(), "*").Val() {
		if !strings.HasPrefix(key, "app:") && !strings.HasPrefix(key, "other:") || client.PTTL(t.Context(), key).Val() <= 0 {
			t.Errorf("key %q is below no prefix or doesn't expire", key)
		}
	}
}

// TestDurable_TheCounterIsDeleted takes away what a store on Redis counts with.
func TestDurable_TheCounterIsDeleted(t *testing.T) {
	server := testserver.Redis(t)
	kv := redisKV(t, server.Addr)
	s := onKV(t, kv, false)
	t.Cleanup(func() { _ = s.end(context.Background()) })
	b := newBroker(t, sse.BrokerConfig{ReplayStore: s.ReplayStore})
	first := publish(t, b, "first")
	reader := listen(t, b, first)
	epoch, _, _ := sse.ParseID(first)
	if err := kv.Delete(t.Context(), "sse:events:"+epoch+":counter"); err != nil {
		t.Fatal(err)
	}
	// The next one makes the store begin anew, and is what it begins with: before the broker has followed, its outcome
	// may be unknown.
	if _, err := b.Publish(t.Context(), event("second")); err != nil && !errors.Is(err, sse.ErrOutcomeUnknown) {
		t.Errorf("publish = %v, want no error or ErrOutcomeUnknown", err)
	}
	reader.until("resync: restarted")
	id := sure(t, b, "last")
	got := reader.until("last")
	if got = slices.DeleteFunc(got, func(s string) bool { return s == "second" }); !slices.Equal(got, []string{"resync: restarted", "last"}) {
		t.Errorf("the reader got %q, want a resync and the last", got)
	}
	if now, _, _ := sse.ParseID(id); now == epoch {
		t.Errorf("the epoch is still %s", epoch)
	}
	back := listen(t, b, first)
	back.until("resync: restarted")
}

// TestDurable_RedisLosesAStream takes what was acknowledged from under two brokers, one of which goes on publishing.
func TestDurable_RedisLosesAStream(t *testing.T) {
	losses := map[string]func(ctx context.Context, c *redis.Client, state, log string) error{
		"all flushed":   func(ctx context.Context, c *redis.Client, _, _ string) error { return c.FlushAll(ctx).Err() },
		"log deleted":   func(ctx context.Context, c *redis.Client, _, _ string) error { return c.Del(ctx, redisLogKey).Err() },
		"state deleted": func(ctx context.Context, c *redis.Client, _, _ string) error { return c.Del(ctx, redisStateKey).Err() },
		"rolled back": func(ctx context.Context, c *redis.Client, state, log string) error {
			_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.RestoreReplace(ctx, redisStateKey, time.Hour, state)
				p.RestoreReplace(ctx, redisLogKey, time.Hour, log)
				return nil
			})
			return err
		},
	}
	for name, lose := range losses {
		for _, publishing := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, publishing=%t", name, publishing), func(t *testing.T) {
				server := testserver.Redis(t)
				one, client := onRedis(t, server, sse.BrokerConfig{})
				two, _ := onRedis(t, server, sse.BrokerConfig{})
				kept := publish(t, one, "kept")
				state, log := client.Dump(t.Context(), redisStateKey).Val(), client.Dump(t.Context(), redisLogKey).Val()
				here, there := listen(t, one, kept), listen(t, two, kept)
				lost := publish(t, one, "lost")
				here.until("lost")
				there.until("lost")
				if err := lose(t.Context(), client, state, log); err != nil {
					t.Fatal(err)
				}
				if publishing {
					if _, err := one.Publish(t.Context(), event("meanwhile")); err != nil && !errors.Is(err, sse.ErrOutcomeUnknown) {
						t.Errorf("publish = %v, want no error or ErrOutcomeUnknown", err)
					}
				}
				here.until("resync: restarted")
				there.until("resync: restarted")
				eventually(t, "both brokers are in one epoch", func() bool {
					a, b := sure(t, one, "probe"), sure(t, two, "probe")
					e1, _, _ := sse.ParseID(a)
					e2, _, _ := sse.ParseID(b)
					old, _, _ := sse.ParseID(lost)
					return e1 == e2 && e1 != old
				})
				sure(t, one, "last")
				for where, r := range map[string]*listener{"here": here, "there": there} {
					got := slices.DeleteFunc(r.until("last"), func(s string) bool {
						// A broker may come to what is behind the loss before the epoch is replaced: that is a resync of its own.
						return s == "probe" || s == "meanwhile" || publishing && s == "resync: expired"
					})
					equal(t, where, slices.Compact(got), "lost", "resync: restarted", "last")
				}
				listen(t, two, lost).until("resync: restarted")
			})
		}
	}
}
