package pgkv

import (
	"bytes"
	"context"
	"iter"

	"github.com/jackc/pgx/v5"
)

// page is how many rows one statement reads or removes.
const page = 1000

// after returns the first key behind all that begin with prefix, or nil if there is none.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) == 0 {
		return nil
	}
	end[len(end)-1]++
	return end
}

// Scan implements [store.Scanner]. It reads pages in the order of keys, and holds no connection between them.
func (s *KV) Scan(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for from, end := []byte(prefix), after([]byte(prefix)); ; {
			keys, err := s.keys(ctx, "scan", s.sql.scan, from, end)
			if err != nil {
				yield("", err)
				return
			}
			for _, key := range keys {
				if !yield(string(key), nil) {
					return
				}
			}
			if len(keys) < page {
				return
			}
			from = append(keys[len(keys)-1], 0) // the next key that there can be
		}
	}
}

// DeletePrefix implements [store.PrefixDeleter]. It removes pages in the order of keys, each in a transaction of its
// own.
func (s *KV) DeletePrefix(ctx context.Context, prefix string) error {
	for from, end := []byte(prefix), after([]byte(prefix)); ; {
		keys, err := s.keys(ctx, "delete keys", s.sql.deletePrefix, from, end)
		if err != nil || len(keys) < page {
			return err
		}
		for _, key := range keys { // in no order
			if bytes.Compare(key, from) >= 0 {
				from = append(key, 0)
			}
		}
	}
}

// keys returns the keys that a statement for a page of a range returns.
func (s *KV) keys(ctx context.Context, what, sql string, from, end []byte) ([][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, sql, from, end, page)
	if err != nil {
		return nil, failed(ctx, what, err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, failed(ctx, what, err)
	}
	return keys, nil
}
