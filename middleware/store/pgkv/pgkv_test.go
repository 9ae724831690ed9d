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
