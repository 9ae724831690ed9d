package redislog

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris/internal/testserver"
	"github.com/goceleris/celeris/middleware/sse"
)

const (
	stateKey = "celeris:replay:{s}:state"
	logKey   = "celeris:replay:{s}:log"
)

// TestLost_StartsAnew takes parts of a stream away: what was there is unknown, a follower is told, and the stream goes on
// in another epoch.
func TestLost_StartsAnew(t *testing.T) {
	server := testserver.Redis(t)
	for name, lose := range map[string]func(ctx context.Context, c *redis.Client) error{
		"log deleted":   func(ctx context.Context, c *redis.Client) error { return c.Del(ctx, logKey).Err() },
		"state deleted": func(ctx context.Context, c *redis.Client) error { return c.Del(ctx, stateKey).Err() },
		"all flushed":   func(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() },
		"log emptied":   func(ctx context.Context, c *redis.Client) error { return c.XTrimMaxLen(ctx, logKey, 0).Err() },
		"newest deleted": func(ctx context.Context, c *redis.Client) error {
			newest := c.XRevRangeN(ctx, logKey, "+", "-", 1).Val()
			return c.XDel(ctx, logKey, newest[0].ID).Err()
		},
		"foreign entry": func(ctx context.Context, c *redis.Client) error {
			return c.XAdd(ctx, &redis.XAddArgs{Stream: logKey, Values: []string{"some", "thing"}}).Err()
		},
		"foreign entry came and went": func(ctx context.Context, c *redis.Client) error {
			id := c.XAdd(ctx, &redis.XAddArgs{Stream: logKey, ID: "17000000000000-0", Values: []string{"some", "thing"}}).Val()
			if err := c.Del(ctx, stateKey).Err(); err != nil {
				return err
			}
			return c.XDel(ctx, logKey, id).Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := connect(t, server)
			client.FlushAll(t.Context())
			l := open(t, Config{Client: client})
			if name != "all flushed" {
				l.verify = 20 * time.Millisecond
			}
			ids := mustAppend(t, l, "s", 1, 2, 3)
			old, _, _ := sse.ParseID(ids[0])
			var wg sync.WaitGroup
			following, told := make(chan struct{}), error(nil)
			wg.Go(func() {
				for r, err := range l.Follow(t.Context(), "s", ids[1]) {
					if err != nil {
						told = err
					} else if r.ID == ids[2] {
						close(following)
					}
				}
			})
			<-following
			if err := lose(t.Context(), client); err != nil {
				t.Fatal(err)
			}
			wg.Wait() // the follower notices by itself
			if !errors.Is(told, sse.ErrLastIDUnknown) {
				t.Errorf("Follow ended with %v, want ErrLastIDUnknown", told)
			}
			for _, id := range append(ids, sse.FormatID(old, 0)) {
				wantUnknown(t, l, "s", id)
			}
			previous, id, err := l.Append(t.Context(), "s", numbered(4))
			if err != nil {
				t.Fatal(err)
			}
			now, before, _ := sse.ParseID(previous)
			if now == old || before != 0 {
				t.Errorf("first append afterwards follows %s, want position 0 of another epoch than %s", previous, old)
			}
			for _, id := range append(ids, sse.FormatID(old, 0)) {
				wantUnknown(t, l, "s", id)
			}
			records, err := collect(l.Since(t.Context(), "s", ""))
			if err != nil || len(records) != 1 || records[0].ID != id {
				t.Errorf("Since(\"\") = %q and %v, want the one behind", data(records), err)
			}
		})
	}
}

// TestLost_ServerKilledWithoutPersistence is what a restart does to a server that keeps nothing.
func TestLost_ServerKilledWithoutPersistence(t *testing.T) {
	server := testserver.Redis(t)
	l := open(t, Config{Client: connect(t, server, func(o *redis.Options) { o.MaxRetries = -1 })})
	ids := mustAppend(t, l, "s", 1, 2, 3)
	server.Kill()
	if _, err := collect(l.Follow(t.Context(), "s", ids[2])); err == nil || errors.Is(err, sse.ErrLastIDUnknown) {
		t.Errorf("Follow of a dead server = %v, want its error", err)
	}
	if _, err := collect(l.Since(t.Context(), "s", ids[2])); err == nil || errors.Is(err, sse.ErrLastIDUnknown) {
		t.Errorf("Since of a dead server = %v, want its error", err)
	}
	server.Start()
	for _, id := range ids {
		wantUnknown(t, l, "s", id)
	}
	epoch, head, err := l.Open(t.Context(), "s")
	if old, _, _ := sse.ParseID(ids[0]); err != nil || epoch == old || head != 0 {
		t.Errorf("Open = %s-%d, %v, want a new epoch", epoch, head, err)
	}
}

// TestLost_RolledBack puts a stream back to an earlier state, as a failover to a replica that lags does, or a crash with
// appendfsync everysec.
func TestLost_RolledBack(t *testing.T) {
	client := connect(t, testserver.Redis(t))
	l := open(t, Config{Client: client})
	ids := mustAppend(t, l, "s", 1, 2, 3)
	state, log := client.Dump(t.Context(), stateKey).Val(), client.Dump(t.Context(), logKey).Val()
	ids = append(ids, mustAppend(t, l, "s", 4, 5, 6)...)
	var wg sync.WaitGroup
	following, told := make(chan struct{}), error(nil)
	wg.Go(func() {
		for r, err := range l.Follow(t.Context(), "s", ids[1]) {
			if err != nil {
				told = err
			} else if r.ID == ids[5] {
				close(following)
			}
		}
	})
	<-following
	for key, value := range map[string]string{stateKey: state, logKey: log} {
		if err := client.RestoreReplace(t.Context(), key, time.Hour, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if !errors.Is(told, sse.ErrLastIDUnknown) {
		t.Errorf("Follow ended with %v, want ErrLastIDUnknown", told)
	}
	check := func(want ...string) {
		t.Helper()
		for _, id := range ids[3:] {
			wantUnknown(t, l, "s", id)
		}
		if records, err := collect(l.Since(t.Context(), "s", ids[2])); err != nil || !slices.Equal(data(records), want) {
			t.Errorf("Since(3) = %q and %v, want %q", data(records), err, want)
		}
	}
	check()
	previous, id, err := l.Append(t.Context(), "s", numbered(7))
	if err != nil || previous != ids[2] || slices.Contains(ids, id) {
		t.Errorf("Append = %q behind %q, %v, want one behind %q that none of %q had", id, previous, err, ids[2], ids)
	}
	check("7")

	// A broker whose head is gone rotates; two of them agree.
	old, _, _ := sse.ParseID(ids[0])
	first, err1 := l.Rotate(t.Context(), "s", old)
	second, err2 := l.Rotate(t.Context(), "s", old)
	if err1 != nil || err2 != nil || first != second || first == old {
		t.Errorf("Rotate twice = %q, %v and %q, %v", first, err1, second, err2)
	}
	for _, id := range append(ids, id) {
		wantUnknown(t, l, "s", id)
	}
}

// TestLost_TrimmedByHand is what an operator may do: what is left is served.
func TestLost_TrimmedByHand(t *testing.T) {
	client := connect(t, testserver.Redis(t))
	l := open(t, Config{Client: client})
	ids := mustAppend(t, l, "s", 1, 2, 3, 4, 5)
	if n := client.XTrimMaxLen(t.Context(), logKey, 2).Val(); n != 3 {
		t.Fatalf("trimmed %d, want 3", n)
	}
	for _, id := range ids[:2] {
		wantUnknown(t, l, "s", id)
	}
	previous, id, err := l.Append(t.Context(), "s", numbered(6))
	if err != nil || previous != ids[4] {
		t.Errorf("Append: previous = %q, %v, want %q", previous, err, ids[4])
	}
	ids = append(ids, id)
	for i, want := range map[int][]string{2: {"4", "5", "6"}, 3: {"5", "6"}, 4: {"6"}, 5: nil} {
		if records, err := collect(l.Since(t.Context(), "s", ids[i])); err != nil || !slices.Equal(data(records), want) {
			t.Errorf("Since(%d) = %q and %v, want %q", i+1, data(records), err, want)
		}
	}
	// In the middle a gap is a gap.
	if err := client.XDel(t.Context(), logKey, streamIDOf(t, ids[4])).Err(); err != nil {
		t.Fatal(err)
	}
	if records, err := collect(l.Since(t.Context(), "s", ids[2])); !errors.Is(err, sse.ErrLastIDUnknown) {
		t.Errorf("Since over a gap = %q and %v, want ErrLastIDUnknown", data(records), err)
	}
}

func streamIDOf(t *testing.T, id string) string {
	t.Helper()
	_, p, err := sse.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	return streamID(p)
}

// TestLost_DamagedEntryIsAHole replaces what one entry has.
func TestLost_DamagedEntryIsAHole(t *testing.T) {
	client := connect(t, testserver.Redis(t))
	l := open(t, Config{Client: client})
	ids := mustAppend(t, l, "s", 1, 2, 3)
	entries := client.XRange(t.Context(), logKey, "-", "+").Val()
	client.Del(t.Context(), logKey)
	for i, e := range entries {
		r := []byte(e.Values["r"].(string))
		if i == 1 {
			r[len(r)-3] ^= 1
		}
		values := []any{"p", e.Values["p"], "n", e.Values["n"], "r", r}
		if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: logKey, ID: e.ID, Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for name, read := range map[string]func() ([]sse.Record, error){
		"Since":  func() ([]sse.Record, error) { return collect(l.Since(t.Context(), "s", "")) },
		"Follow": func() ([]sse.Record, error) { return collect(first(l.Follow(t.Context(), "s", ""), 3)) },
	} {
		records, err := read()
		if err != nil || !slices.Equal(data(records), []string{"1", "hole", "3"}) || records[1].ID != ids[1] {
			t.Errorf("%s = %q and %v, want a hole in the place of the second", name, data(records), err)
		}
	}
}

func TestLost_OtherPrefix(t *testing.T) {
	client := connect(t, testserver.Redis(t))
	l := open(t, Config{Client: client})
	mustAppend(t, l, "s", 1, 2, 3)
	for _, id := range mustAppend(t, open(t, Config{Client: client, Prefix: "other:"}), "s", 1, 2, 3) {
		wantUnknown(t, l, "s", id)
	}
}

func TestLost_WrongKindOfKey(t *testing.T) {
	client := connect(t, testserver.Redis(t))
	l := open(t, Config{Client: client})
	client.Set(t.Context(), logKey, "text", 0)
	if _, _, err := l.Append(t.Context(), "s", numbered(1)); !redis.HasErrorPrefix(err, "WRONGTYPE") || errors.Is(err, sse.ErrOutcomeUnknown) {
		t.Errorf("Append = %v, want WRONGTYPE", err)
	}
}
