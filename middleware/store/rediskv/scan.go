package rediskv

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// page is about how many keys Redis looks at for one answer.
const page = 1000

// Scan implements [store.Scanner].
func (s *KV) Scan(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := make(map[string]struct{})
		for keys, err := range s.pages(ctx, prefix) {
			if err != nil {
				yield("", err)
				return
			}
			for _, key := range keys {
				if _, twice := seen[key]; twice {
					continue
				}
				seen[key] = struct{}{}
				if !yield(key, nil) {
					return
				}
			}
		}
	}
}

// DeletePrefix implements [store.PrefixDeleter].
func (s *KV) DeletePrefix(ctx context.Context, prefix string) error {
	for keys, err := range s.pages(ctx, prefix) {
		if err != nil {
			return err
		}
		if _, err := do(ctx, "delete keys", func() (struct{}, error) { return struct{}{}, s.unlink(ctx, keys) }); err != nil {
			return err
		}
	}
	return nil
}

// unlink removes keys one by one in one round trip, as those of a cluster are in different places.
func (s *KV) unlink(ctx context.Context, keys []string) error {
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range keys {
			p.Unlink(ctx, key)
		}
		return nil
	})
	return err
}

// pages yields the keys with a prefix, some at a time and some of them perhaps twice.
func (s *KV) pages(ctx context.Context, prefix string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		servers, err := s.servers(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		type answer struct {
			keys   []string
			cursor uint64
		}
		for _, server := range servers {
			for cursor := uint64(0); ; {
				a, err := do(ctx, "scan", func() (answer, error) {
					keys, next, err := server.Scan(ctx, cursor, pattern(prefix), page).Result()
					return answer{keys, next}, err
				})
				if err != nil {
					yield(nil, err)
					return
				}
				if len(a.keys) > 0 && !yield(a.keys, nil) {
					return
				}
				if cursor = a.cursor; cursor == 0 {
					break
				}
			}
		}
	}
}

// servers returns a client of each server that has keys of its own.
func (s *KV) servers(ctx context.Context) ([]redis.Cmdable, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cluster, ok := s.client.(interface {
		ForEachMaster(context.Context, func(context.Context, *redis.Client) error) error
	})
	if !ok {
		if _, ring := s.client.(interface {
			ForEachShard(context.Context, func(context.Context, *redis.Client) error) error
		}); ring {
			return nil, fmt.Errorf("rediskv: scan a ring, which leaves out servers that are down: %w", errors.ErrUnsupported)
		}
		return []redis.Cmdable{s.client}, nil
	}
	return do(ctx, "find the masters", func() ([]redis.Cmdable, error) {
		var (
			mu      sync.Mutex // guards masters
			masters []redis.Cmdable
		)
		err := cluster.ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			masters = append(masters, master)
			return nil
		})
		return masters, err
	})
}

// pattern matches the keys that begin with prefix.
func pattern(prefix string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(prefix) + "*"
}
