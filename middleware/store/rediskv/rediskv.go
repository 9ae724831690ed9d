// Package rediskv is a [store.KV] on Redis 6.2 or later: a single server, one found by Sentinel, or a cluster.
//
//	kv := rediskv.New(redis.NewUniversalClient(&redis.UniversalOptions{Addrs: addrs}))
//	sessions := store.Prefixed(kv, "session:")
//
// # Limits
//
//   - A ttl is rounded up to milliseconds.
//   - Redis takes keys and values of up to 512 MB.
//   - What a server that fails has acknowledged may be lost, and what a replica answers may be old: see Redis's
//     appendfsync and min-replicas-to-write, and go-redis's ReadOnly.
//   - With maxmemory, Redis may evict keys, or refuse to write: its error then.
//   - Calls that are repeated without harm (Get, MGet, Set, Delete) are repeated by the client after network errors, as
//     its MaxRetries says. Increment, SetNX and GetAndDelete are sent once: after an error of the network their outcome
//     is unknown.
//   - A command that Redis doesn't answer occupies a connection of the client's pool until its ReadTimeout, also when the
//     caller's context has ended.
//   - Scan remembers the keys that it has yielded, as Redis may list one twice. In a cluster it visits the masters one
//     after the other; keys that are moved between them meanwhile may be missed. It and DeletePrefix look at all keys of
//     the database, whatever the prefix, and have no way to do so on a [redis.Ring] ([errors.ErrUnsupported]).
package rediskv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris/middleware/store"
	"github.com/goceleris/celeris/middleware/store/internal/wait"
)

// KV is a store on Redis with all abilities.
type KV struct{ client redis.UniversalClient }

var _ interface {
	store.KV
	store.Counter
	store.SetNXer
	store.GetAndDeleter
	store.MultiGetter
	store.Scanner
	store.PrefixDeleter
} = (*KV)(nil)

// New returns a store on client, which stays the caller's to close. A client of a type other than those of go-redis is
// taken for that of a cluster if it has their ForEachMaster, and else for that of a single server.
func New(client redis.UniversalClient) *KV { return &KV{client} }

// Get implements [store.KV].
func (s *KV) Get(ctx context.Context, key string) ([]byte, error) {
	if err := store.Check(ctx, key, 0); err != nil {
		return nil, err
	}
	return do(ctx, "get", func() ([]byte, error) { return s.client.Get(ctx, key).Bytes() })
}

// Set implements [store.KV].
func (s *KV) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := store.Check(ctx, key, ttl); err != nil {
		return err
	}
	value = wait.Copy(value)
	_, err := do(ctx, "set", func() (string, error) { return s.client.Set(ctx, key, value, milliseconds(ttl)).Result() })
	return err
}

// Delete implements [store.KV].
func (s *KV) Delete(ctx context.Context, key string) error {
	if err := store.Check(ctx, key, 0); err != nil {
		return err
	}
	_, err := do(ctx, "delete", func() (int64, error) { return s.client.Del(ctx, key).Result() })
	return err
}

// SetNX implements [store.SetNXer].
func (s *KV) SetNX(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := store.Check(ctx, key, ttl); err != nil {
		return false, err
	}
	args := []any{"set", key, wait.Copy(value), "nx"}
	if ttl > 0 {
		args = append(args, "px", milliseconds(ttl).Milliseconds())
	}
	_, err := do(ctx, "set if not there", func() (any, error) { return s.once(ctx, args...).Result() })
	if errors.Is(err, store.ErrNotFound) { // nil for: not set
		return false, nil
	}
	return err == nil, err
}

// GetAndDelete implements [store.GetAndDeleter].
func (s *KV) GetAndDelete(ctx context.Context, key string) ([]byte, error) {
	if err := store.Check(ctx, key, 0); err != nil {
		return nil, err
	}
	return do(ctx, "get and delete", func() ([]byte, error) {
		value, err := s.once(ctx, "getdel", key).Text()
		return []byte(value), err
	})
}

// incrementText returns the sum as text: a number would lose digits in Lua. An error of INCRBY ends it.
const incrementText = `
redis.call('INCRBY', KEYS[1], ARGV[1])
if ARGV[2] == '0' then
	redis.call('PERSIST', KEYS[1])
else
	redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('GET', KEYS[1])`

var incrementHash = redis.NewScript(incrementText).Hash()

// Increment implements [store.Counter].
func (s *KV) Increment(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	if err := store.Check(ctx, key, ttl); err != nil {
		return 0, err
	}
	return do(ctx, "increment", func() (int64, error) {
		ms := milliseconds(ttl).Milliseconds()
		sum, err := s.once(ctx, "evalsha", incrementHash, 1, key, delta, ms).Text()
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			sum, err = s.once(ctx, "eval", incrementText, 1, key, delta, ms).Text()
		}
		if err != nil {
			return 0, err
		}
		return store.ParseNumber([]byte(sum))
	})
}

// MGet implements [store.MultiGetter]. In a cluster, each server that has some of the keys is asked once.
func (s *KV) MGet(ctx context.Context, keys ...string) ([][]byte, error) {
	for _, key := range keys {
		if err := store.Check(ctx, key, 0); err != nil {
			return nil, err
		}
	}
	if len(keys) == 0 {
		return [][]byte{}, ctx.Err()
	}
	if _, ok := s.client.(*redis.Client); ok {
		return do(ctx, "get many", func() ([][]byte, error) { return s.mget(ctx, keys) })
	}
	return do(ctx, "get many", func() ([][]byte, error) { return s.pipelinedGet(ctx, keys) })
}

func (s *KV) mget(ctx context.Context, keys []string) ([][]byte, error) {
	answers, err := s.client.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, err
	}
	values := make([][]byte, len(answers))
	for i, answer := range answers {
		if text, ok := answer.(string); ok {
			values[i] = []byte(text)
		}
	}
	return values, nil
}

func (s *KV) pipelinedGet(ctx context.Context, keys []string) ([][]byte, error) {
	answers := make([]*redis.StringCmd, len(keys))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			answers[i] = p.Get(ctx, key)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	values := make([][]byte, len(keys))
	for i, answer := range answers {
		value, err := answer.Bytes()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}

// once is a command that the client doesn't repeat when it doesn't know whether it was carried out.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

func (s *KV) once(ctx context.Context, args ...any) *redis.Cmd {
	cmd := once{redis.NewCmd(ctx, args...)}
	_ = s.client.Process(ctx, cmd) // cmd has the error too
	return cmd.Cmd
}

// do waits for a call no longer than ctx lasts, and names its errors.
func do[T any](ctx context.Context, what string, f func() (T, error)) (T, error) {
	value, err := wait.For(ctx, nil, f)
	var zero T
	switch {
	case err == nil:
		return value, nil
	case errors.Is(err, redis.Nil):
		return zero, store.ErrNotFound
	case strings.Contains(err.Error(), "not an integer or out of range"), strings.Contains(err.Error(), "would overflow"):
		return zero, fmt.Errorf("rediskv: %s: %w: %w", what, store.ErrNotNumber, err)
	}
	return zero, fmt.Errorf("rediskv: %s: %w", what, err)
}

// milliseconds rounds up, to what Redis can count.
func milliseconds(ttl time.Duration) time.Duration {
	if rest := ttl % time.Millisecond; rest > 0 {
		ttl -= rest
		ttl = min(ttl, 1<<63-1-time.Millisecond) + time.Millisecond
	}
	return ttl
}
