package pgkv_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/goceleris/celeris/internal/leak"
	"github.com/goceleris/celeris/middleware/store"
	"github.com/goceleris/celeris/middleware/store/pgkv"
)

// expire puts in n rows whose time is over, beside two that stay.
func expire(t *testing.T, p *pgxpool.Pool, kv *pgkv.KV, n int) {
	t.Helper()
	if err := kv.Set(t.Context(), "stays", []byte("x"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := kv.Set(t.Context(), "always", []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	_, err := p.Exec(t.Context(), "INSERT INTO "+pgkv.DefaultTable+
		" SELECT convert_to('e' || n, 'UTF8'), '', clock_timestamp() - interval '1 second' FROM generate_series(1, $1) AS n", n)
	if err != nil {
		t.Fatal(err)
	}
}

func testClean(t *testing.T, p *pgxpool.Pool, kv *pgkv.KV) {
	expire(t, p, kv, 2500)
	if _, err := kv.Get(t.Context(), "e1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an expired row is visible: %v", err)
	}
	if n, err := kv.Clean(t.Context()); n != 2500 || err != nil {
		t.Errorf("Clean = %d, %v, want 2500", n, err)
	}
	if n := rows(t, p); n != 2 {
		t.Errorf("%d rows are left, want 2", n)
	}

	// Several at once share the work.
	expire(t, p, kv, 4000)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var sum int64
	for range 4 {
		wg.Go(func() {
			n, err := kv.Clean(t.Context())
			if err != nil {
				t.Errorf("Clean: %v", err)
			}
			mu.Lock()
			sum += n
			mu.Unlock()
		})
	}
	wg.Wait()
	// One that found all the rest locked by the others has gone.
	rest, err := kv.Clean(t.Context())
	if err != nil || sum+rest != 4000 || rows(t, p) != 2 {
		t.Errorf("four at once cleaned %d and then one %d, %v; %d rows are left; want 4000 in all and 2 left", sum, rest, err, rows(t, p))
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := kv.Clean(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Clean with a context that has ended = %v", err)
	}
}

func testCleanEvery(t *testing.T, p *pgxpool.Pool, kv *pgkv.KV) {
	leak.Check(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- kv.CleanEvery(ctx, time.Millisecond, func(err error) { t.Errorf("report: %v", err) }) }()
	for range 2 {
		expire(t, p, kv, 10)
		for end := time.Now().Add(30 * time.Second); rows(t, p) != 2; {
			if time.Now().After(end) {
				t.Fatalf("%d rows are left", rows(t, p))
			}
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("CleanEvery = %v", err)
	}

	// What fails is reported, and it goes on.
	ctx, cancel = context.WithCancel(t.Context())
	reports := make(chan error)
	go func() {
		ended <- pgkv.NewTable(p, "none").CleanEvery(ctx, time.Millisecond, func(err error) {
			select {
			case reports <- err:
			case <-ctx.Done():
			}
		})
	}()
	for range 2 {
		if err := <-reports; err == nil {
			t.Error("reported nil")
		}
	}
	cancel()
	<-ended
}

// A row whose time is over is as good as none for every method, and its place is used again.
func testExpired(t *testing.T, p *pgxpool.Pool, kv *pgkv.KV) {
	ctx := t.Context()
	expire(t, p, kv, 5)
	if ok, err := kv.SetNX(ctx, "e1", []byte("new"), 0); !ok || err != nil {
		t.Errorf("SetNX over an expired row = %v, %v", ok, err)
	}
	if n, err := kv.Increment(ctx, "e2", 7, 0); n != 7 || err != nil {
		t.Errorf("Increment of an expired row = %d, %v", n, err)
	}
	if err := kv.Set(ctx, "e3", []byte("new"), 0); err != nil {
		t.Error(err)
	}
	if value, err := kv.GetAndDelete(ctx, "e4"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("GetAndDelete of an expired row = %q, %v", value, err)
	}
	values, err := kv.MGet(ctx, "e1", "e2", "e3", "e4", "e5")
	if err != nil || string(values[0]) != "new" || string(values[1]) != "7" || string(values[2]) != "new" || values[3] != nil || values[4] != nil {
		t.Errorf("MGet = %q, %v", values, err)
	}
	if n, err := kv.Clean(ctx); n != 1 || err != nil {
		t.Errorf("Clean = %d, %v, want 1", n, err)
	}
}

// The end of a ttl is a moment of the server's clock.
func testServerClock(t *testing.T, p *pgxpool.Pool, kv *pgkv.KV) {
	if err := kv.Set(t.Context(), "a", nil, time.Hour); err != nil {
		t.Fatal(err)
	}
	var left float64
	err := p.QueryRow(t.Context(), "SELECT extract(epoch FROM expires - clock_timestamp())::float8 FROM "+pgkv.DefaultTable).Scan(&left)
	if err != nil || left > 3600 || left < 3000 {
		t.Errorf("%v seconds are left of an hour, %v", left, err)
	}
}

// Those that remove the same rows in different ways don't wait for each other in a circle.
func testDeleters(t *testing.T, p *pgxpool.Pool, kv *pgkv.KV) {
	for range 3 {
		expire(t, p, kv, 3000)
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() {
				var err error
				if n%2 == 0 {
					_, err = kv.Clean(t.Context())
				} else {
					err = kv.DeletePrefix(t.Context(), "e")
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for key, err := range kv.Scan(t.Context(), "e") {
			t.Errorf("left: %q, %v", key, err)
		}
		if n := rows(t, p); n != 2 {
			t.Errorf("%d rows are left, want 2", n)
		}
	}
}
