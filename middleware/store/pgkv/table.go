package pgkv

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Migrate creates what the store needs, a table and an index, and changes nothing that is there. It may be called at
// any time and by any number of processes at once. Whoever calls it needs the right to create a table; the other methods
// need to read and write it only.
func (s *KV) Migrate(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// IF NOT EXISTS alone fails when two see at once that it doesn't.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "pgkv migrate "+s.table); err != nil {
			return err
		}
		for _, sql := range []string{s.sql.create, s.sql.index} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return failed(ctx, "migrate "+s.table, err)
	}
	return nil
}

// Clean removes the rows whose time is over, a thousand in a transaction, and returns how many there were. Several
// processes may do so at once: they share the work.
func (s *KV) Clean(ctx context.Context) (int64, error) {
	for removed := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		tag, err := s.pool.Exec(ctx, s.sql.clean, page)
		if err != nil {
			return removed, failed(ctx, "clean", err)
		}
		removed += tag.RowsAffected()
		if tag.RowsAffected() < page {
			return removed, nil
		}
	}
}

// CleanEvery calls Clean at once and then each time the interval, which is above zero, has passed, until ctx ends. It
// returns ctx's error. What Clean fails with goes to report, if that isn't nil; the next time may be better.
func (s *KV) CleanEvery(ctx context.Context, interval time.Duration, report func(error)) error {
	if interval <= 0 {
		panic(fmt.Sprintf("pgkv: CleanEvery(%v): the interval has to be above zero", interval))
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if _, err := s.Clean(ctx); err != nil && ctx.Err() == nil && report != nil {
			report(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
