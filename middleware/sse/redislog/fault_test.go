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

// TestFault_KilledMidPublish kills a durable server under its publishers, starts it again, and lets them go on.
func TestFault_KilledMidPublish(t *testing.T) {
	server := testserver.Redis(t, testserver.RedisDurable()...)
	l := open(t, Config{Client: connect(t, server, func(o *redis.Options) { o.MaxRetries = -1 })})
	start := fillLog(t, l, "s", 0)

	var mu sync.Mutex
	acknowledged, unknown := make(map[string]string), make(map[string]bool) // number to ID
	var wg sync.WaitGroup
	up := make(chan struct{})
	publish := func(n int) error {
		record := numbered(n)
		_, id, err := l.Append(t.Context(), "s", record)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			acknowledged[record.Event.Data] = id
		case errors.Is(err, sse.ErrOutcomeUnknown):
			unknown[record.Event.Data] = true
		}
		return err
	}
	const publishers, more = 16, 20
	for p := range publishers {
		wg.Go(func() {
			n := p * 1_000_000
			for publish(n) == nil {
				n++
			}
			<-up
			for range more {
				n++
				if err := publish(n); err != nil && !errors.Is(err, sse.ErrOutcomeUnknown) {
					t.Errorf("Append to a server that is up again: %v", err)
				}
			}
		})
	}
	until(t, "many are acknowledged", func() bool { mu.Lock(); defer mu.Unlock(); return len(acknowledged) > 500 })
	server.Kill()
	if _, _, err := l.Append(t.Context(), "s", numbered(-1)); err == nil {
		t.Error("Append to a dead server succeeds")
	}
	for range 100 { // whatever dead connections the pool had are used up
		if _, _, err := l.Append(t.Context(), "s", numbered(-2)); !errors.Is(err, sse.ErrOutcomeUnknown) {
			break
		}
	}
	if _, _, err := l.Append(t.Context(), "s", numbered(-3)); err == nil || errors.Is(err, sse.ErrOutcomeUnknown) {
		t.Errorf("Append to a server that can't be reached = %v, want an error with a known outcome", err)
	}
	server.Start()
	close(up)
	wg.Wait()

	records, err := collect(l.Since(t.Context(), "s", start))
	if err != nil {
		t.Fatal(err)
	}
	stored := make(map[string]string)
	last := make(map[string]string)
	for _, r := range records {
		n := r.Event.Data
		if _, twice := stored[n]; twice {
			t.Errorf("%s is stored twice", n)
		}
		stored[n] = r.ID
		if acknowledged[n] == "" && !unknown[n] && !strings.HasPrefix(n, "-") {
			t.Errorf("%s is stored, though its append failed", n)
		}
		if publisher := n[:max(0, len(n)-6)]; len(last[publisher]) == len(n) && last[publisher] >= n {
			t.Errorf("%s is stored behind %s", n, last[publisher])
		} else {
			last[publisher] = n
		}
	}
	for n, id := range acknowledged {
		if stored[n] != id {
			t.Errorf("%s was acknowledged as %s, stored is %q", n, id, stored[n])
		}
	}
	t.Logf("%d acknowledged, %d unknown, %d stored", len(acknowledged), len(unknown), len(stored))
}

// TestFault_Paused lets a server be silent: every call returns with its context, and everything goes on afterwards.
func TestFault_Paused(t *testing.T) {
	server := testserver.Redis(t)
	l := open(t, Config{Client: connect(t, server, long)})
	start := fillLog(t, l, "s", 3)
	following, followed := make(chan struct{}), make(chan error)
	followCtx, stopFollowing := context.WithCancel(t.Context())
	defer stopFollowing()
	go func() {
		n := 0
		for _, err := range l.Follow(followCtx, "s", start) {
			if err != nil {
				followed <- err
			} else if n++; n == 3 {
				close(following)
			}
		}
	}()
	<-following
	server.Pause()

	for name, call := range map[string]func(ctx context.Context) error{
		"Open":   func(ctx context.Context) error { _, _, err := l.Open(ctx, "s"); return err },
		"Append": func(ctx context.Context) error { _, _, err := l.Append(ctx, "s", numbered(9)); return err },
		"Rotate": func(ctx context.Context) error { _, err := l.Rotate(ctx, "s", "none"); return err },
		"Since":  func(ctx context.Context) error { _, err := collect(l.Since(ctx, "s", start)); return err },
		"Follow": func(ctx context.Context) error { _, err := collect(l.Follow(ctx, "s", start)); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s of a silent server = %v, want context.DeadlineExceeded", name, err)
		}
		cancel()
	}
	stopFollowing()
	if err := <-followed; !errors.Is(err, context.Canceled) {
		t.Errorf("Follow of a silent server = %v, want context.Canceled", err)
	}
	server.Resume()
	mustAppend(t, l, "s", 10)
	records, err := collect(l.Since(t.Context(), "s", start))
	if got := data(records); err != nil || !slices.Equal(got, []string{"0", "1", "2", "9", "10"}) {
		t.Errorf("stored are %q (%v), want all of them once", got, err)
	}
}

// wantRefusedWhile checks that between begin and end nothing can be written and all can be read.
func wantRefusedWhile(t *testing.T, l *Log, prefix string, begin, end func()) {
	t.Helper()
	head := mustAppend(t, l, "s", 1)[0]
	epoch, position, err := sse.ParseID(head)
	if err != nil {
		t.Fatal(err)
	}
	begin()
	_, _, appendErr := l.Append(t.Context(), "s", numbered(2))
	_, _, appendNew := l.Append(t.Context(), "new", numbered(2))
	_, rotateErr := l.Rotate(t.Context(), "s", epoch)
	_, _, openNew := l.Open(t.Context(), "new")
	for _, err := range []error{appendErr, appendNew, rotateErr, openNew} {
		if !redis.HasErrorPrefix(err, prefix) || errors.Is(err, sse.ErrOutcomeUnknown) {
			t.Errorf("error is %v, want %s and a known outcome", err, prefix)
		}
	}
	if now, p, err := l.Open(t.Context(), "s"); err != nil || now != epoch || p != position {
		t.Errorf("Open = %s-%d, %v, want %s", now, p, err, head)
	}
	if records, err := collect(l.Since(t.Context(), "s", head)); err != nil || len(records) != 0 {
		t.Errorf("Since(head) = %q and %v, want nothing", data(records), err)
	}
	records, err := collect(first(l.Follow(t.Context(), "s", sse.FormatID(epoch, 0)), 2))
	if got := data(records); err != nil || !slices.Equal(got, []string{"0", "1"}) {
		t.Errorf("Follow = %q and %v, want what was stored before", got, err)
	}
	end()
	if now, p, err := l.Open(t.Context(), "s"); err != nil || now != epoch || p != position {
		t.Errorf("Open afterwards = %s-%d, %v, want %s", now, p, err, head)
	}
	if previous, _, err := l.Append(t.Context(), "s", numbered(3)); err != nil || previous != head {
		t.Errorf("Append afterwards: previous = %q, %v, want %q", previous, err, head)
	}
	if _, _, err := l.Append(t.Context(), "new", numbered(3)); err != nil {
		t.Errorf("Append to a new stream afterwards: %v", err)
	}
}

func TestFault_OutOfMemory(t *testing.T) {
	client := connect(t, testserver.Redis(t, "--maxmemory-policy", "noeviction"))
	l := open(t, Config{Client: client})
	set := func(limit string) {
		if err := client.ConfigSet(t.Context(), "maxmemory", limit).Err(); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, l, "s", 0)
	wantRefusedWhile(t, l, "OOM", func() { set("1") }, func() { set("0") })
}

func TestFault_ReadOnly(t *testing.T) {
	client := connect(t, testserver.Redis(t), func(o *redis.Options) { o.MaxRetries = -1 })
	l := open(t, Config{Client: client})
	mustAppend(t, l, "s", 0)
	wantRefusedWhile(t, l, "READONLY",
		func() {
			if err := client.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
				t.Fatal(err)
			}
		},
		func() {
			if err := client.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
				t.Fatal(err)
			}
		})
}

// TestClose_ReturnsWithItsContext closes while Redis says nothing about an append.
func TestClose_ReturnsWithItsContext(t *testing.T) {
	server := testserver.Redis(t)
	l := open(t, Config{Client: connect(t, server, long)})
	fillLog(t, l, "s", 1)
	batchers := func() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.batchers) }
	until(t, "nothing is under way", func() bool { return batchers() == 0 })
	server.Pause()
	appended := make(chan error, 1)
	go func() {
		_, _, err := l.Append(context.Background(), "s", numbered(2))
		appended <- err
	}()
	until(t, "the append is under way", func() bool { return batchers() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close = %v, want context.DeadlineExceeded", err)
	}
	server.Resume()
	if err := <-appended; err != nil {
		t.Errorf("the append that was under way: %v", err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Errorf("Close again = %v, want nil", err)
	}
}
