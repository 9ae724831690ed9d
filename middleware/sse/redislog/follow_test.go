package redislog

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris/internal/testserver"
	"github.com/goceleris/celeris/middleware/sse"
)

// tails returns how many tails a Log has, and streams in them.
func tails(l *Log) (n, streams int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.tails {
		streams += len(t.streams)
	}
	return len(l.tails), streams
}

// TestFollow_OneConnectionForAllStreams follows more streams than the pool has connections.
func TestFollow_OneConnectionForAllStreams(t *testing.T) {
	client := connect(t, testserver.Redis(t), func(o *redis.Options) { o.PoolSize = 10 })
	l := open(t, Config{Client: client})
	const streams, perStream = 60, 2
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var wg, reading sync.WaitGroup
	for s := range streams {
		name := strings.Repeat("s", s+1)
		fillLog(t, l, name, 1)
		for range perStream {
			reading.Add(1)
			wg.Go(func() {
				n := 0
				for r, err := range l.Follow(ctx, name, "") {
					if err != nil {
						t.Errorf("Follow(%d): %v", s, err)
						return
					}
					if n++; n == 1 {
						reading.Done()
					}
					if r.Event.Data == "1000" {
						return
					}
				}
			})
		}
	}
	reading.Wait()
	until(t, "one tail has all streams", func() bool {
		n, all := tails(l)
		return n == 1 && all == streams
	})
	if n := client.PoolStats().TotalConns; n > 10 {
		t.Errorf("%d connections for %d followers", n, streams*perStream)
	}
	for s := range streams {
		mustAppend(t, l, strings.Repeat("s", s+1), 1000)
	}
	wg.Wait()
	until(t, "the tail is gone", func() bool { n, _ := tails(l); return n == 0 })
}

// TestFollow_SlowReader reads one record at a time while many more come.
func TestFollow_SlowReader(t *testing.T) {
	server := testserver.Redis(t)
	l := open(t, Config{Client: connect(t, server)})
	writer := open(t, Config{Client: connect(t, server)})
	start := fillLog(t, l, "s", 1)
	const rounds, each = 4, 700
	var got []sse.Record
	for r, err := range l.Follow(t.Context(), "s", start) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
		if n := len(got) - 1; n%each == 0 && n/each < rounds {
			var wg sync.WaitGroup // the tail may read on while this reader is busy
			for i := range each {
				wg.Go(func() { mustAppend(t, writer, "s", i) })
			}
			wg.Wait()
		}
		if len(got) == 1+rounds*each {
			break
		}
	}
	want, err := collect(l.Since(t.Context(), "s", start))
	if err != nil || len(want) != len(got) {
		t.Fatalf("Since = %d records and %v, want %d", len(want), err, len(got))
	}
	for i := range want {
		if got[i].ID != want[i].ID || got[i].Event != want[i].Event {
			t.Fatalf("record %d = %+v, want %+v", i, got[i], want[i])
		}
	}
}

// TestFollow_MidBatch follows from every position of one entry.
func TestFollow_MidBatch(t *testing.T) {
	client := connect(t, testserver.Redis(t))
	l := open(t, Config{Client: client})
	start := fillLog(t, l, "s", 0)
	var stored []byte
	for n := range 5 {
		stored = appendRecord(stored, numbered(n))
	}
	k, _ := l.keys("s")
	if _, _, err := l.call(t.Context(), appendScript, k, true, []any{l.ttl(), newEpoch(), 10, 5, stored}); err != nil {
		t.Fatal(err)
	}
	records, err := collect(l.Since(t.Context(), "s", start))
	if err != nil || len(records) != 5 {
		t.Fatalf("Since = %q and %v, want five", data(records), err)
	}
	mustAppend(t, l, "s", 5)
	want := []string{"0", "1", "2", "3", "4", "5"}
	for i, r := range records {
		since, err1 := collect(l.Since(t.Context(), "s", r.ID))
		followed, err2 := collect(first(l.Follow(t.Context(), "s", r.ID), 5-i))
		if err1 != nil || err2 != nil || !slices.Equal(data(since), want[i+1:]) || !slices.Equal(data(followed), want[i+1:]) {
			t.Errorf("behind record %d: %q, %v and %q, %v, want %q", i, data(since), err1, data(followed), err2, want[i+1:])
		}
	}
	epoch, p, _ := sse.ParseID(records[0].ID)
	wantUnknown(t, l, "s", sse.FormatID(epoch, p-1))
}

// TestFollow_KeepsTheStreamAlive follows a stream in which nothing happens.
func TestFollow_KeepsTheStreamAlive(t *testing.T) {
	client := connect(t, testserver.Redis(t))
	l := open(t, Config{Client: client, TTL: time.Second})
	ids := mustAppend(t, l, "s", 1)
	mustAppend(t, l, "forgotten", 1)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := collect(l.Follow(ctx, "s", ids[0])); !errors.Is(err, context.Canceled) {
			t.Errorf("Follow = %v, want context.Canceled", err)
		}
	})
	until(t, "the stream without a follower is forgotten", func() bool {
		return client.Exists(t.Context(), "celeris:replay:{forgotten}:log", "celeris:replay:{forgotten}:state").Val() == 0
	})
	renewed := 0
	last := client.PTTL(t.Context(), stateKey).Val()
	until(t, "the followed stream was prolonged four times", func() bool {
		now := client.PTTL(t.Context(), stateKey).Val()
		if now > last {
			renewed++
		}
		last = now
		return renewed == 4
	})
	cancel()
	wg.Wait()
	if records, err := collect(l.Since(t.Context(), "s", "")); err != nil || len(records) != 1 {
		t.Errorf("Since = %q and %v, want the record", data(records), err)
	}
}

func TestFollow_ToldOfRotationByTheNextRecord(t *testing.T) {
	client := connect(t, testserver.Redis(t))
	l := open(t, Config{Client: client})
	ids := mustAppend(t, l, "s", 1)
	old, _, _ := sse.ParseID(ids[0])
	var got []sse.Record
	var told error
	for r, err := range l.Follow(t.Context(), "s", sse.FormatID(old, 0)) {
		if told = err; err != nil {
			break
		}
		got = append(got, r)
		if _, err := l.Rotate(t.Context(), "s", old); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, "s", 2)
	}
	if !errors.Is(told, sse.ErrLastIDUnknown) || !slices.Equal(data(got), []string{"1"}) {
		t.Errorf("Follow = %q and %v, want the record before and ErrLastIDUnknown", data(got), told)
	}
}
