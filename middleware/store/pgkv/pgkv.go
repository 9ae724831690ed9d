// Package pgkv is a [store.KV] on a table of PostgreSQL 13 or later.
//
//	kv := pgkv.New(pool)
//	if err := kv.Migrate(ctx); err != nil {
//		return err
//	}
//	go kv.CleanEvery(ctx, time.Minute, nil)
//
// # Limits
//
//   - Keys have up to 2000 bytes; a longer one is [store.ErrInvalidKey]. Values have up to 256 MB; a larger one is
//     [store.ErrTooLarge].
//   - A ttl is rounded up to microseconds and counts on the server's clock, which may jump. One that would end after the
//     year 9999 doesn't end.
//   - A value whose time is over is invisible at once, but its row stays until [KV.Clean] removes it or the key gets a
//     new value.
//   - Each call is a transaction of its own, as the server's default for isolation has it; DeletePrefix and Clean are
//     several. Durability is the server's too: see its synchronous_commit.
//   - Rows that change a lot, such as counters, need autovacuum, and concurrent increments of one key wait for each
//     other.
package pgkv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/goceleris/celeris/middleware/store"
)

const (
	// DefaultTable is the table that New uses.
	DefaultTable = "celeris_kv"

	maxKey   = 2000      // an entry of an index has to fit a third of a page
	maxValue = 256 << 20 // a message of the protocol has to fit 1 GB, and the server keeps several copies
)

// KV is a store on PostgreSQL with all abilities.
type KV struct {
	pool  *pgxpool.Pool
	table string   // as the user named it
	sql   *queries // for that table
}

var _ interface {
	store.KV
	store.Counter
	store.SetNXer
	store.GetAndDeleter
	store.MultiGetter
	store.Scanner
	store.PrefixDeleter
} = (*KV)(nil)

// New returns a store on the table [DefaultTable], which [KV.Migrate] creates. The pool stays the caller's to close.
func New(pool *pgxpool.Pool) *KV { return NewTable(pool, DefaultTable) }

// NewTable returns a store on another table: its name, or those of a schema that exists and of the table with a dot
// between. Stores on the same table are the same.
func NewTable(pool *pgxpool.Pool, name string) *KV {
	return &KV{pool, name, newQueries(strings.Split(name, "."))}
}

// check returns why a call with these arguments does nothing.
func check(ctx context.Context, key string, ttl time.Duration) error {
	if err := store.Check(ctx, key, ttl); err != nil {
		return err
	}
	if len(key) > maxKey {
		return fmt.Errorf("%w: %d bytes, at most %d", store.ErrInvalidKey, len(key), maxKey)
	}
	return nil
}

// checkValue returns the value as it can be sent: a nil one would be NULL.
func checkValue(value []byte) ([]byte, error) {
	if len(value) > maxValue {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", store.ErrTooLarge, len(value), maxValue)
	}
	if value == nil {
		return []byte{}, nil
	}
	return value, nil
}

// latest is the longest ttl that ends within what every client can read, in microseconds: about 7900 years.
const latest = 7900 * 365 * 24 * 3600 * 1_000_000

// microseconds rounds up. Nil is no ttl.
func microseconds(ttl time.Duration) *int64 {
	if ttl == 0 {
		return nil
	}
	n := ttl.Microseconds()
	if ttl%time.Microsecond > 0 {
		n++
	}
	if n > latest {
		return nil
	}
	return &n
}

// failed names an error. That of ctx is recognizable in it, whatever pgx made of it.
func failed(ctx context.Context, what string, err error) error {
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("pgkv: %s: %w: %w", what, ended, err)
	}
	return fmt.Errorf("pgkv: %s: %w", what, err)
}

// Get implements [store.KV].
func (s *KV) Get(ctx context.Context, key string) ([]byte, error) {
	if err := check(ctx, key, 0); err != nil {
		return nil, err
	}
	var value []byte
	err := s.pool.QueryRow(ctx, s.sql.get, []byte(key)).Scan(&value)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, store.ErrNotFound
	case err != nil:
		return nil, failed(ctx, "get", err)
	}
	return value, nil
}

// Set implements [store.KV].
func (s *KV) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := check(ctx, key, ttl); err != nil {
		return err
	}
	value, err := checkValue(value)
	if err != nil {
		return err
	}
	if _, err := s.pool.Exec(ctx, s.sql.set, []byte(key), value, microseconds(ttl)); err != nil {
		return failed(ctx, "set", err)
	}
	return nil
}

// Delete implements [store.KV].
func (s *KV) Delete(ctx context.Context, key string) error {
	if err := check(ctx, key, 0); err != nil {
		return err
	}
	if _, err := s.pool.Exec(ctx, s.sql.delete, []byte(key)); err != nil {
		return failed(ctx, "delete", err)
	}
	return nil
}

// SetNX implements [store.SetNXer].
func (s *KV) SetNX(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := check(ctx, key, ttl); err != nil {
		return false, err
	}
	value, err := checkValue(value)
	if err != nil {
		return false, err
	}
	tag, err := s.pool.Exec(ctx, s.sql.setNX, []byte(key), value, microseconds(ttl))
	if err != nil {
		return false, failed(ctx, "set if not there", err)
	}
	return tag.RowsAffected() == 1, nil
}

// Increment implements [store.Counter].
func (s *KV) Increment(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	if err := check(ctx, key, ttl); err != nil {
		return 0, err
	}
	var sum []byte
	err := s.pool.QueryRow(ctx, s.sql.increment, []byte(key), delta, microseconds(ttl)).Scan(&sum)
	if err != nil {
		if e, ok := errors.AsType[*pgconn.PgError](err); ok && (e.Code == notNull || e.Code == outOfRange) {
			return 0, fmt.Errorf("pgkv: increment: %w", store.ErrNotNumber)
		}
		return 0, failed(ctx, "increment", err)
	}
	return store.ParseNumber(sum)
}

// GetAndDelete implements [store.GetAndDeleter].
func (s *KV) GetAndDelete(ctx context.Context, key string) ([]byte, error) {
	if err := check(ctx, key, 0); err != nil {
		return nil, err
	}
	var value []byte
	var alive bool
	err := s.pool.QueryRow(ctx, s.sql.getAndDelete, []byte(key)).Scan(&value, &alive)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && !alive:
		return nil, store.ErrNotFound
	case err != nil:
		return nil, failed(ctx, "get and delete", err)
	}
	return value, nil
}

// MGet implements [store.MultiGetter].
func (s *KV) MGet(ctx context.Context, keys ...string) ([][]byte, error) {
	all := make([][]byte, len(keys))
	for i, key := range keys {
		if err := check(ctx, key, 0); err != nil {
			return nil, err
		}
		all[i] = []byte(key)
	}
	if len(keys) == 0 {
		return all, ctx.Err()
	}
	rows, err := s.pool.Query(ctx, s.sql.mget, all)
	if err != nil {
		return nil, failed(ctx, "get many", err)
	}
	values := make([][]byte, len(keys))
	var n int64
	var value []byte
	_, err = pgx.ForEachRow(rows, []any{&n, &value}, func() error {
		values[n-1] = append([]byte{}, value...)
		return nil
	})
	if err != nil {
		return nil, failed(ctx, "get many", err)
	}
	return values, nil
}
