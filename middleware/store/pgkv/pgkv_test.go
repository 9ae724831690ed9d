package pgkv_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/goceleris/celeris/internal/leak"
	"github.com/goceleris/celeris/internal/testserver"
	"github.com/goceleris/celeris/middleware/store"
	"github.com/goceleris/celeris/middleware/store/pgkv"
	"github.com/goceleris/celeris/middleware/store/storetest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// pool returns a pool of a server's connections, closed with the test.
func pool(t *testing.T, server *testserver.PostgresServer) *pgxpool.Pool {
	t.Helper()
	p, err := pgxpool.New(t.Context(), server.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// migrated returns a store on a table that is there.
func migrated(t *testing.T, p *pgxpool.Pool) *pgkv.KV {
	t.Helper()
	kv := pgkv.New(p)
	if err := kv.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return kv
}

// rows returns how many rows the table has, also those that the store doesn't show.
func rows(t *testing.T, p *pgxpool.Pool) (n int) {
	t.Helper()
	if err := p.QueryRow(t.Context(), "SELECT count(*) FROM "+pgkv.DefaultTable).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestKV(t *testing.T) {
	p := pool(t, testserver.Postgres(t))
	empty := func(t *testing.T) *pgkv.KV {
		kv := migrated(t, p)
		if _, err := p.Exec(t.Context(), "TRUNCATE "+pgkv.DefaultTable); err != nil {
			t.Fatal(err)
		}
		return kv
	}
	storetest.Run(t, func(t *testing.T) store.KV { return empty(t) }, store.AllAbilities)

	t.Run("MigrateConcurrently", func(t *testing.T) {
		for n := range 5 {
			kv := pgkv.NewTable(p, fmt.Sprintf(`Odd "name" %d`, n))
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if err := kv.Migrate(t.Context()); err != nil {
						t.Errorf("Migrate: %v", err)
					}
				})
			}
			wg.Wait()
			if err := kv.Set(t.Context(), "a", []byte("1"), 0); err != nil {
				t.Fatal(err)
			}
			if err := kv.Migrate(t.Context()); err != nil {
				t.Errorf("Migrate again: %v", err)
			}
			if value, err := kv.Get(t.Context(), "a"); err != nil || string(value) != "1" {
				t.Errorf("after Migrate: %q, %v", value, err)
			}
		}
	})
	t.Run("Schema", func(t *testing.T) {
		if _, err := p.Exec(t.Context(), "CREATE SCHEMA app"); err != nil {
			t.Fatal(err)
		}
		kv := pgkv.NewTable(p, "app.kv")
		if err := kv.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := kv.Set(t.Context(), "a", nil, time.Hour); err != nil {
			t.Fatal(err)
		}
		if _, err := empty(t).Get(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("two tables are one: %v", err)
		}
	})
	t.Run("NotMigrated", func(t *testing.T) {
		if err := pgkv.NewTable(p, "none").Set(t.Context(), "a", nil, 0); err == nil {
			t.Error("Set without a table has no error")
		}
	})
	t.Run("Clean", func(t *testing.T) { testClean(t, p, empty(t)) })
	t.Run("CleanEvery", func(t *testing.T) { testCleanEvery(t, p, empty(t)) })
	t.Run("ExpiredAreReplaced", func(t *testing.T) { testExpired(t, p, empty(t)) })
	t.Run("ServerClock", func(t *testing.T) { testServerClock(t, p, empty(t)) })
	t.Run("DeletersDontDeadlock", func(t *testing.T) { testDeleters(t, p, empty(t)) })
	t.Run("TooLarge", func(t *testing.T) {
		kv := empty(t)
		if err := kv.Set(t.Context(), "a", make([]byte, 256<<20+1), 0); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("Set of more than 256 MB = %v, want ErrTooLarge", err)
		}
		key := strings.Repeat("\xa5k", 1000)
		if err := kv.Set(t.Context(), key, []byte("x"), 0); err != nil {
			t.Errorf("Set with a key of %d bytes: %v", len(key), err)
		}
		if err := kv.Set(t.Context(), key+"k", []byte("x"), 0); !errors.Is(err, store.ErrInvalidKey) {
			t.Errorf("Set with a key of %d bytes = %v, want ErrInvalidKey", len(key)+1, err)
		}
	})
}

// expire sets n values and waits until their time is over.
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

func TestKV_ServerRestarted(t *testing.T) {
	server := testserver.Postgres(t)
	kv := migrated(t, pool(t, server))
	ctx := t.Context()
	if n, err := kv.Increment(ctx, "n", 41, 0); n != 41 || err != nil {
		t.Fatal(n, err)
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
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		value, err := kv.Get(ctx, "n")
		if err == nil {
			if string(value) != "41" {
				t.Errorf("after the server's return: %q, want 41", value)
			}
			return
		}
		if errors.Is(err, store.ErrNotFound) || time.Now().After(end) {
			t.Fatalf("after the server's return: %v", err)
		}
	}
}

func TestKV_ServerPaused(t *testing.T) {
	leak.Check(t)
	server := testserver.Postgres(t)
	kv := migrated(t, pool(t, server))
	server.Pause()
	storetest.Paused(t, kv)
	server.Resume()
	if err := kv.Set(t.Context(), "a", nil, 0); err != nil {
		t.Errorf("Set after the pause: %v", err)
	}
}

func ExampleNew() {
	setUp := func(ctx context.Context, pool *pgxpool.Pool) (store.KV, error) {
		kv := pgkv.New(pool)
		if err := kv.Migrate(ctx); err != nil {
			return nil, err
		}
		go kv.CleanEvery(ctx, time.Minute, nil) // ends with ctx
		return store.Prefixed(kv, "session:"), nil
	}
	_ = setUp
}
