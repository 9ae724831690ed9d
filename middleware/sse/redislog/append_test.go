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

// long has the client wait for an answer longer than any test.
func long(o *redis.Options) { o.ReadTimeout = time.Minute }

// underWay reports whether a batch of the stream is under way, and how many appends wait behind it.
func underWay(l *Log, stream string) (sent bool, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.batchers[stream]
	if b == nil {
		return false, 0
	}
	return len(b.waiting) == 0, len(b.waiting)
}

// TestAppend_EndedContexts ends a caller whose record is under way, and one whose record waits behind it.
func TestAppend_EndedContexts(t *testing.T) {
	server := testserver.Redis(t)
	l := open(t, Config{Client: connect(t, server, long)})
	start := fillLog(t, l, "s", 0)
	server.Pause()

	var wg sync.WaitGroup
	appending := func(n int) (cancel context.CancelFunc, result *error) {
		ctx, cancel := context.WithCancel(t.Context())
		result = new(error)
		wg.Go(func() { _, _, *result = l.Append(ctx, "s", numbered(n)) })
		return cancel, result
	}
	cancelFirst, first := appending(1)
	until(t, "the first append is under way", func() bool { sent, _ := underWay(l, "s"); return sent })
	cancelSecond, second := appending(2)
	until(t, "the second append waits", func() bool { _, n := underWay(l, "s"); return n == 1 })
	cancelThird, third := appending(3)
	defer cancelThird()
	until(t, "the third append waits", func() bool { _, n := underWay(l, "s"); return n == 2 })

	cancelSecond()
	until(t, "the second append is taken back", func() bool { _, n := underWay(l, "s"); return n == 1 })
	cancelFirst()
	server.Resume()
	wg.Wait()
	if !errors.Is(*first, sse.ErrOutcomeUnknown) && *first != nil {
		t.Errorf("append under way = %v, want ErrOutcomeUnknown", *first)
	}
	if !errors.Is(*second, context.Canceled) || errors.Is(*second, sse.ErrOutcomeUnknown) {
		t.Errorf("append that waited = %v, want context.Canceled and a known outcome", *second)
	}
	if *third != nil {
		t.Errorf("append whose context goes on = %v", *third)
	}
	records, err := collect(l.Since(t.Context(), "s", start))
	if got := data(records); err != nil || !slices.Equal(got, []string{"1", "3"}) {
		t.Errorf("stored are %q (%v), want 1 and 3", got, err)
	}
}

func TestAppend_EndsWithItsContextWhileRedisIsSilent(t *testing.T) {
	server := testserver.Redis(t)
	l := open(t, Config{Client: connect(t, server, long)})
	start := fillLog(t, l, "s", 0)
	server.Pause()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, _, err := l.Append(ctx, "s", numbered(1))
		ended <- err
	}()
	until(t, "the append is under way", func() bool { sent, _ := underWay(l, "s"); return sent })
	cancel()
	if err := <-ended; !errors.Is(err, sse.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("Append = %v, want ErrOutcomeUnknown and context.Canceled", err)
	}
	server.Resume()
	records, err := collect(first(l.Follow(t.Context(), "s", start), 1))
	if got := data(records); err != nil || !slices.Equal(got, []string{"1"}) {
		t.Errorf("what was under way appears as %q (%v), want it once", got, err)
	}
}

func TestAppend_SharesRoundTrips(t *testing.T) {
	server := testserver.Redis(t)
	client := connect(t, server, long)
	l := open(t, Config{Client: client})
	start := fillLog(t, l, "s", 1)
	var count trips
	client.AddHook(&count)
	server.Pause()
	const publishers = 500
	var wg sync.WaitGroup
	for n := range publishers {
		wg.Go(func() {
			if _, _, err := l.Append(t.Context(), "s", numbered(n)); err != nil {
				t.Error(err)
			}
		})
	}
	until(t, "all but those under way wait", func() bool {
		_, n := underWay(l, "s")
		return n > 0 && count.n.Load() == 1 && n >= publishers-100
	})
	server.Resume()
	wg.Wait()
	if n := count.n.Load(); n > 4 {
		t.Errorf("%d appends of which most waited took %d round trips, want few", publishers, n)
	}
	records, err := collect(l.Since(t.Context(), "s", start))
	if err != nil || len(records) != publishers+1 {
		t.Errorf("stored are %d records (%v), want %d", len(records), err, publishers+1)
	}
	until(t, "the batcher is gone", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.batchers) == 0
	})
}

func TestAppend_LargeRecordsTravelAlone(t *testing.T) {
	server := testserver.Redis(t)
	l := open(t, Config{Client: connect(t, server)})
	start := fillLog(t, l, "s", 0)
	large := make([]byte, 3*maxBatchBytes)
	for i := range large {
		large[i] = 'a' + byte(i%26)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, _, err := l.Append(t.Context(), "s", sse.Record{Event: sse.Event{Data: string(large)}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	records, err := collect(l.Since(t.Context(), "s", start))
	if err != nil || len(records) != 4 {
		t.Fatalf("stored are %d records (%v), want 4", len(records), err)
	}
	for _, r := range records {
		if r.Event.Data != string(large) {
			t.Errorf("record %s has changed", r.ID)
		}
	}
	followed, err := collect(first(l.Follow(t.Context(), "s", start), 4))
	if err != nil || len(followed) != 4 {
		t.Errorf("Follow = %d records (%v), want 4", len(followed), err)
	}
}

// TestAppend_PositionsRise has the server's clock jump.
func TestAppend_PositionsRise(t *testing.T) {
	client := connect(t, testserver.Redis(t))
	l := open(t, Config{Client: client})
	const state, log = "celeris:replay:{s}:state", "celeris:replay:{s}:log"
	var ids []string
	for _, last := range []string{"", "17000000000000-5", "17000000000000-1048574", "17000000000001-1048575"} {
		// As if a batch before had been that late.
		if last != "" {
			head := client.HGet(t.Context(), state, "head").Val()
			if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: log, ID: last, Values: []string{"p", head, "n", "1", "r", ""}}).Err(); err != nil {
				t.Fatal(err)
			}
			client.HSet(t.Context(), state, "head", last, "last", last, "len", client.XLen(t.Context(), log).Val())
		}
		ids = append(ids, mustAppend(t, l, "s", 1, 2)...)
	}
	var positions []string
	for _, id := range ids {
		_, p, err := sse.ParseID(id)
		if err != nil {
			t.Fatal(err)
		}
		positions = append(positions, streamID(p))
	}
	want := []string{
		"17000000000000-6", "17000000000000-7",
		"17000000000000-1048575", "17000000000001-0",
		"17000000000002-0", "17000000000002-1",
	}
	if !slices.Equal(positions[2:], want) {
		t.Errorf("positions are %q, want %q", positions[2:], want)
	}
	records, err := collect(l.Since(t.Context(), "s", ids[0]))
	if err != nil || len(records) != 10 {
		t.Errorf("Since = %d records and %v, want the 7 behind, and 3 holes", len(records), err)
	}

	client.HSet(t.Context(), state, "last", "17592186044415-1048575")
	if _, _, err := l.Append(t.Context(), "s", numbered(3)); err == nil || errors.Is(err, sse.ErrOutcomeUnknown) {
		t.Errorf("Append at the end of time = %v, want an error", err)
	}
}
