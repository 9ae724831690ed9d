// Package memcachekv is a [store.KV] on memcached 1.4.8 or later.
//
//	kv := memcachekv.New(memcache.New("localhost:11211"))
//
// # Limits
//
//   - It is a cache: any value may be gone at any time, as if it had been deleted, because of others or of a restart. So
//     a counter may start again at zero, and a lock may be free too early.
//   - memcached can't list keys: there is no Scan and no DeletePrefix.
//   - memcached counts in seconds. A ttl is rounded up to seconds, and one more is added, as memcached's first one may be
//     short: a value stays up to two seconds longer. One that would end after 2038-01-19 doesn't end.
//   - A key is sent as it is, if memcached takes it. One with blanks, control characters or the byte 0x80 at its
//     beginning is written in another form, which takes eight bytes for seven. What is then longer than 250 bytes is
//     [store.ErrInvalidKey]: such a key may have 217 bytes.
//   - With its key, a value has to fit an item of memcached, a megabyte unless its -I says otherwise. A larger value is
//     [store.ErrTooLarge].
//   - Values that other programs write are seen, whatever their flags. memcached's own incr and decr may write numbers
//     with blanks around them, which are no numbers here.
//   - Increment and GetAndDelete take two round trips, and more when others change the same key meanwhile.
//   - The client doesn't listen to a context: a call returns when its context ends, but what it has sent goes on until the
//     client's Timeout. No more than 256 calls go on at the same time; others wait, each with its own context.
package memcachekv

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/goceleris/celeris/middleware/store"
	"github.com/goceleris/celeris/middleware/store/internal/wait"
)

const (
	// maxCalls bounds the connections, as the client doesn't.
	maxCalls = 256

	// maxItem is what memcached takes in all by default. The size of its own header depends on its version.
	maxItem    = 1 << 20
	itemHeader = 64
)

// KV is a store on memcached. It can Increment, SetNX, GetAndDelete and MGet.
type KV struct {
	client *memcache.Client
	limit  wait.Limit
	max    int // for a key, its value and itemHeader
}

var _ interface {
	store.KV
	store.Counter
	store.SetNXer
	store.GetAndDeleter
	store.MultiGetter
} = (*KV)(nil)

// New returns a store on client, which stays the caller's to close. Its Timeout bounds how long a call goes on that
// nobody waits for.
func New(client *memcache.Client) *KV { return NewSize(client, maxItem) }

// NewSize is New for servers whose largest item, their -I, has this many bytes.
func NewSize(client *memcache.Client, largest int) *KV {
	if largest <= itemHeader {
		panic(fmt.Sprintf("memcachekv: NewSize(%d): no value fits an item of that size", largest))
	}
	return &KV{client, make(wait.Limit, maxCalls), largest}
}

// Get implements [store.KV].
func (s *KV) Get(ctx context.Context, key string) ([]byte, error) {
	k, err := check(ctx, key, 0)
	if err != nil {
		return nil, err
	}
	return do(ctx, s, "get", func() ([]byte, error) {
		item, err := s.client.Get(k)
		if err != nil {
			return nil, err
		}
		return item.Value, nil
	})
}

// item returns what is sent for a key and a copy of its value.
func (s *KV) item(ctx context.Context, key string, value []byte, ttl time.Duration) (*memcache.Item, error) {
	k, err := check(ctx, key, ttl)
	if err != nil {
		return nil, err
	}
	if n := len(k) + len(value) + itemHeader; n > s.max {
		return nil, fmt.Errorf("memcachekv: %w: %d bytes with key and header, at most %d", store.ErrTooLarge, n, s.max)
	}
	return &memcache.Item{Key: k, Value: wait.Copy(value), Expiration: expiration(ttl)}, nil
}

// Set implements [store.KV].
func (s *KV) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	item, err := s.item(ctx, key, value, ttl)
	if err != nil {
		return err
	}
	_, err = do(ctx, s, "set", func() (struct{}, error) { return struct{}{}, s.client.Set(item) })
	return err
}

// Delete implements [store.KV].
func (s *KV) Delete(ctx context.Context, key string) error {
	k, err := check(ctx, key, 0)
	if err != nil {
		return err
	}
	_, err = do(ctx, s, "delete", func() (struct{}, error) { return struct{}{}, s.client.Delete(k) })
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// SetNX implements [store.SetNXer].
func (s *KV) SetNX(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	item, err := s.item(ctx, key, value, ttl)
	if err != nil {
		return false, err
	}
	return do(ctx, s, "set if not there", func() (bool, error) {
		err := s.client.Add(item)
		if errors.Is(err, memcache.ErrNotStored) {
			return false, nil
		}
		return err == nil, err
	})
}

// Increment implements [store.Counter]. memcached's own increment knows no negative numbers and sets no ttl.
func (s *KV) Increment(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	k, err := check(ctx, key, ttl)
	if err != nil {
		return 0, err
	}
	return do(ctx, s, "increment", func() (int64, error) {
		for {
			item, err := s.client.Get(k)
			sum := delta
			switch {
			case errors.Is(err, memcache.ErrCacheMiss):
				item = &memcache.Item{Key: k, Value: strconv.AppendInt(nil, sum, 10), Expiration: expiration(ttl)}
				err = s.client.Add(item)
			case err != nil:
				return 0, err
			default:
				n, numberErr := store.ParseNumber(item.Value)
				if numberErr == nil {
					sum, numberErr = store.Add(n, delta)
				}
				if numberErr != nil {
					return 0, numberErr
				}
				item.Value, item.Expiration = strconv.AppendInt(nil, sum, 10), expiration(ttl)
				err = s.client.CompareAndSwap(item)
			}
			if again, err := overtaken(ctx, err); !again {
				return sum, err
			}
		}
	})
}

// GetAndDelete implements [store.GetAndDeleter]. Who replaces the value by one whose time is over has got it.
func (s *KV) GetAndDelete(ctx context.Context, key string) ([]byte, error) {
	k, err := check(ctx, key, 0)
	if err != nil {
		return nil, err
	}
	return do(ctx, s, "get and delete", func() ([]byte, error) {
		for {
			item, err := s.client.Get(k)
			if err != nil {
				return nil, err
			}
			value := item.Value
			item.Value, item.Expiration = nil, -1
			if again, err := overtaken(ctx, s.client.CompareAndSwap(item)); !again {
				return value, err
			}
		}
	})
}

// overtaken reports whether a conditional write has to be tried again, because others have changed or removed the item.
// Each time, one of them has succeeded.
func overtaken(ctx context.Context, err error) (again bool, _ error) {
	if !errors.Is(err, memcache.ErrCASConflict) && !errors.Is(err, memcache.ErrNotStored) && !errors.Is(err, memcache.ErrCacheMiss) {
		return false, err
	}
	return ctx.Err() == nil, ctx.Err()
}

// MGet implements [store.MultiGetter].
func (s *KV) MGet(ctx context.Context, keys ...string) ([][]byte, error) {
	sent := make([]string, len(keys))
	for i, key := range keys {
		k, err := check(ctx, key, 0)
		if err != nil {
			return nil, err
		}
		sent[i] = k
	}
	if len(keys) == 0 {
		return [][]byte{}, ctx.Err()
	}
	items, err := do(ctx, s, "get many", func() (map[string]*memcache.Item, error) { return s.client.GetMulti(sent) })
	if err != nil {
		return nil, err
	}
	values := make([][]byte, len(keys))
	for i, k := range sent {
		if item, ok := items[k]; ok {
			values[i] = wait.Copy(item.Value) // a key may be asked for twice
		}
	}
	return values, nil
}

// do waits for a call no longer than ctx lasts, and names its errors.
func do[T any](ctx context.Context, s *KV, what string, f func() (T, error)) (T, error) {
	value, err := wait.For(ctx, s.limit, f)
	var zero T
	switch {
	case err == nil:
		return value, nil
	case errors.Is(err, memcache.ErrCacheMiss):
		return zero, store.ErrNotFound
	case strings.Contains(err.Error(), "object too large"):
		return zero, fmt.Errorf("memcachekv: %s: %w: %w", what, store.ErrTooLarge, err)
	}
	return zero, fmt.Errorf("memcachekv: %s: %w", what, err)
}
