package redislog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris/internal/testserver"
	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/sse/replaytest"
)

func TestNew_RefusesBadConfigs(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaintNotificationsConfig: quiet})
	defer client.Close()
	for want, cfg := range map[string]Config{
		"Client is nil":    {},
		"contains a brace": {Client: client, Prefix: "a{b}"},
		"MaxLen is -1":     {Client: client, MaxLen: -1},
		"TTL is -1s":       {Client: client, TTL: -time.Second},
		"TTL is 1ms":       {Client: client, TTL: time.Millisecond},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v) = %v, want an error with %q", cfg, err, want)
		}
	}
}

func TestLog_RefusesBadStreamNames(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaintNotificationsConfig: quiet, MaxRetries: -1})
	defer client.Close()
	l := open(t, Config{Client: client})
	for _, name := range []string{"", "\xff"} {
		_, _, openErr := l.Open(t.Context(), name)
		_, _, appendErr := l.Append(t.Context(), name, sse.Record{})
		_, rotateErr := l.Rotate(t.Context(), name, "e")
		_, sinceErr := collect(l.Since(t.Context(), name, ""))
		_, followErr := collect(l.Follow(t.Context(), name, ""))
		for _, err := range []error{openErr, appendErr, rotateErr, sinceErr, followErr} {
			if err == nil || !strings.Contains(err.Error(), "any UTF-8 text but the empty one") {
				t.Errorf("stream %q: %v", name, err)
			}
		}
	}
}

func TestKeys_AreOneSlotEach(t *testing.T) {
	client := redis.NewClient(&redis.Options{MaintNotificationsConfig: quiet})
	defer client.Close()
	l := open(t, Config{Client: client, Prefix: "p:"})
	seen := make(map[string]string)
	for _, name := range []string{"a", "a}", "{a", "}", "{}", "%7D", "%", "a:log", "ü\x00 "} {
		k, err := l.keys(name)
		if err != nil {
			t.Fatal(err)
		}
		tag, rest, ok := strings.Cut(strings.TrimPrefix(k.log, "p:{"), "}")
		if !ok || tag == "" || rest != ":log" || k.state != "p:{"+tag+"}:state" {
			t.Errorf("keys of %q are %q and %q, want p:{tag}:log and p:{tag}:state", name, k.log, k.state)
		}
		if twin, ok := seen[tag]; ok {
			t.Errorf("%q and %q share the tag %q", name, twin, tag)
		}
		seen[tag] = name
	}
}

func TestContract_OnACluster(t *testing.T) {
	server := testserver.Redis(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf")
	node := connect(t, server)
	if err := node.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "the cluster has formed", func() bool {
		return strings.Contains(node.ClusterInfo(t.Context()).Val(), "cluster_state:ok")
	})
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{server.Addr}, MaintNotificationsConfig: quiet})
	t.Cleanup(func() { client.Close() })
	replaytest.Run(t, func(t *testing.T) sse.ReplayStore {
		return open(t, Config{Client: client, MaxLen: 300})
	})
}

func TestLog_AllKeysExpireAndAreBelowThePrefix(t *testing.T) {
	client := connect(t, testserver.Redis(t))
	l := open(t, Config{Client: client, Prefix: "mine:", TTL: time.Hour})
	start := fillLog(t, l, "a", 10)
	fillLog(t, l, "b", 0)
	if _, err := l.Rotate(t.Context(), "c", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := collect(l.Since(t.Context(), "a", start)); err != nil {
		t.Fatal(err)
	}
	keys := client.Keys(t.Context(), "*").Val()
	slices.Sort(keys)
	if want := []string{"mine:{a}:log", "mine:{a}:state", "mine:{b}:state", "mine:{c}:state"}; !slices.Equal(keys, want) {
		t.Errorf("keys are %q, want %q", keys, want)
	}
	for _, key := range keys {
		if ttl := client.PTTL(t.Context(), key).Val(); ttl <= 59*time.Minute || ttl > time.Hour {
			t.Errorf("%s lives for %v, want an hour", key, ttl)
		}
	}
}

func TestLog_KeepsMaxLenRecords(t *testing.T) {
	client := connect(t, testserver.Redis(t))
	const maxLen = 500
	l := open(t, Config{Client: client, MaxLen: maxLen})
	fillLog(t, l, "s", 0)
	for round := range 10 {
		var wg sync.WaitGroup
		for p := range 300 {
			wg.Go(func() {
				if _, _, err := l.Append(t.Context(), "s", numbered(p)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		records, err := collect(l.Since(t.Context(), "s", ""))
		// What is kept beyond is an eighth, and a batch and a node of Redis at each end.
		if n := len(records); err != nil || n < min(maxLen, 300*(round+1)) || n > maxLen+maxLen/8+2*300+100 {
			t.Errorf("after %d records %d are kept (%v), want %d and not many more", 300*(round+1), n, err, maxLen)
		}
	}
	state := client.HGetAll(t.Context(), "celeris:replay:{s}:state").Val()
	if n := client.XLen(t.Context(), "celeris:replay:{s}:log").Val(); state["len"] != fmt.Sprint(n) || state["total"] != "3000" {
		t.Errorf("state is %v, want the length %d and 3000 records in total", state, n)
	}
	if marks := strings.Fields(state["marks"]); len(marks) > 2*9 {
		t.Errorf("%d marks are kept: %q", len(marks)/2, marks)
	}
}

func TestLog_SharedByProcesses(t *testing.T) {
	server := testserver.Redis(t)
	const writers, each = 3, 200
	_, err := connect(t, server).Ping(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	next := make(map[string]string)
	var wg sync.WaitGroup
	start := fillLog(t, open(t, Config{Client: connect(t, server)}), "s", 0)
	for w := range writers {
		l := open(t, Config{Client: connect(t, server)})
		for g := range 4 {
			wg.Go(func() {
				for n := range each {
					previous, id, err := l.Append(t.Context(), "s", numbered(w*10000+g*1000+n))
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					next[previous] = id
					mu.Unlock()
				}
			})
		}
		wg.Go(func() {
			records, err := collect(first(l.Follow(t.Context(), "s", start), writers*4*each))
			if err != nil || len(records) != writers*4*each {
				t.Errorf("Follow = %d records and %v, want %d", len(records), err, writers*4*each)
			}
		})
	}
	wg.Wait()
	records, err := collect(open(t, Config{Client: connect(t, server)}).Since(t.Context(), "s", start))
	if err != nil || len(records) != writers*4*each {
		t.Fatalf("Since = %d records and %v, want %d", len(records), err, writers*4*each)
	}
	last := start
	for _, r := range records {
		if next[last] != r.ID {
			t.Fatalf("%s follows %s, but the appends said %q", r.ID, last, next[last])
		}
		last = r.ID
	}
}

// trips counts what is sent to Redis.
type trips struct{ n atomic.Int64 }

func (c *trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmds)
	}
}

func TestSince_ThreeRoundTripsForThousandEvents(t *testing.T) {
	server := testserver.Redis(t)
	start := fillLog(t, open(t, Config{Client: connect(t, server)}), "s", 1000)
	client := connect(t, server)
	client.Ping(t.Context()) // the connection's own greeting
	if err := client.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	l := open(t, Config{Client: client})
	var count trips
	client.AddHook(&count)
	records, err := collect(l.Since(t.Context(), "s", start))
	if err != nil || len(records) != 1000 {
		t.Fatalf("Since = %d records and %v, want 1000", len(records), err)
	}
	if n := count.n.Load(); n > 3 {
		t.Errorf("1000 events took %d round trips of a client that has never run the script, want 3 at most", n)
	}
	count.n.Store(0)
	if _, err := collect(l.Since(t.Context(), "s", start)); err != nil {
		t.Fatal(err)
	}
	if n := count.n.Load(); n > 2 {
		t.Errorf("1000 events took %d round trips, want 2", n)
	}
}

func TestClose_EndsFollowersAndRefusesCalls(t *testing.T) {
	client := connect(t, testserver.Redis(t))
	l := open(t, Config{Client: client})
	fillLog(t, l, "s", 1)
	following := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		n := 0
		for _, err := range l.Follow(context.Background(), "s", "") {
			if n++; n == 1 {
				close(following)
				continue
			}
			if !errors.Is(err, sse.ErrStoreClosed) {
				t.Errorf("Follow ended with %v, want ErrStoreClosed", err)
			}
		}
	})
	<-following
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	_, _, openErr := l.Open(t.Context(), "s")
	_, _, appendErr := l.Append(t.Context(), "s", numbered(1))
	_, sinceErr := collect(l.Since(t.Context(), "s", ""))
	for _, err := range []error{openErr, appendErr, sinceErr, l.Close(t.Context())} {
		if err != nil && !errors.Is(err, sse.ErrStoreClosed) {
			t.Errorf("after Close: %v, want ErrStoreClosed", err)
		}
	}
	if openErr == nil || appendErr == nil || sinceErr == nil {
		t.Error("a closed Log works on")
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("Close closed the client: %v", err)
	}
}
