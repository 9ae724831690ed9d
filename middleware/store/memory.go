package store

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	defaultMaxBytes = 64 << 20
	defaultShards   = 16

	// keyOverhead is about what a key costs beside its own bytes and those of its value.
	keyOverhead = 160
)

// MemoryConfig configures a [MemoryKV]. Its zero value works.
type MemoryConfig struct {
	// MaxBytes bounds what keys and values take together, counted with 160 bytes more for each key. What doesn't fit
	// displaces others: first those whose time is over, then those that were not read or written for the longest time,
	// also if they have no ttl, and counters too.
	// A value that doesn't fit alone is ErrTooLarge. Zero means 64 MiB.
	MaxBytes int
	// Shards is the number of parts with a lock each, for use by as many processors. Zero means 16.
	Shards int
}

// MemoryKV is a store in this process's memory with all abilities. Its time is that of the process's monotonic clock: a
// wall clock that jumps changes nothing. Keys may have any length.
//
// Scan and DeletePrefix look at all keys, whatever the prefix. Expired values are freed within seconds by a timer that
// runs while there are values with a ttl; it has no goroutine while it waits.
type MemoryKV struct {
	seed     maphash.Seed
	shards   []shard
	maxBytes int64
	start    time.Time

	bytes            atomic.Int64 // of all shards; never above maxBytes
	evicted, expired atomic.Uint64
	sweeper          sweeper
}

var _ able = (*MemoryKV)(nil)

// NewMemoryKV returns an empty store. It panics if a number of config is negative.
func NewMemoryKV(config MemoryConfig) *MemoryKV {
	if config.MaxBytes < 0 || config.Shards < 0 {
		panic(fmt.Sprintf("store: NewMemoryKV(%+v): a negative number; zero means the default", config))
	}
	if config.MaxBytes == 0 {
		config.MaxBytes = defaultMaxBytes
	}
	if config.Shards == 0 {
		config.Shards = defaultShards
	}
	m := &MemoryKV{
		seed:     maphash.MakeSeed(),
		shards:   make([]shard, config.Shards),
		maxBytes: int64(config.MaxBytes),
		start:    time.Now(),
	}
	for i := range m.shards {
		m.shards[i].init()
	}
	return m
}

// Close frees everything and ends the timer. From then on the store's methods return ErrClosed. It may be called more
// than once.
func (m *MemoryKV) Close() error {
	m.sweeper.close()
	for i := range m.shards {
		m.bytes.Add(-m.shards[i].close())
	}
	return nil
}

// MemoryStats is what a [MemoryKV] holds and has done.
type MemoryStats struct {
	Keys            int    // with those whose time is over and that are not freed yet
	Bytes, MaxBytes int    // as MemoryConfig.MaxBytes counts
	Evicted         uint64 // keys that made room for others while their time was not over
	Expired         uint64 // keys that were freed after their time
}

// Stats returns what the store holds and has done.
func (m *MemoryKV) Stats() MemoryStats {
	stats := MemoryStats{
		Bytes:    int(m.bytes.Load()),
		MaxBytes: int(m.maxBytes),
		Evicted:  m.evicted.Load(),
		Expired:  m.expired.Load(),
	}
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		stats.Keys += len(s.items)
		s.mu.Unlock()
	}
	return stats
}

// Get implements [KV].
func (m *MemoryKV) Get(ctx context.Context, key string) ([]byte, error) {
	if err := Check(ctx, key, 0); err != nil {
		return nil, err
	}
	return m.get(key, false)
}

// GetAndDelete implements [GetAndDeleter].
func (m *MemoryKV) GetAndDelete(ctx context.Context, key string) ([]byte, error) {
	if err := Check(ctx, key, 0); err != nil {
		return nil, err
	}
	return m.get(key, true)
}

// get returns a copy of a value, which it makes outside of the lock: a value that is kept never changes.
func (m *MemoryKV) get(key string, remove bool) ([]byte, error) {
	s := m.shard(key)
	s.mu.Lock()
	it, err := m.lookup(s, key)
	if err == nil && it == nil {
		err = ErrNotFound
	}
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	value := it.value
	if remove {
		m.bytes.Add(-s.remove(it))
	} else {
		s.touch(it, m.now())
	}
	s.mu.Unlock()
	return append(make([]byte, 0, len(value)), value...), nil
}

// MGet implements [MultiGetter].
func (m *MemoryKV) MGet(ctx context.Context, keys ...string) ([][]byte, error) {
	for _, key := range keys {
		if err := Check(ctx, key, 0); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	values := make([][]byte, len(keys))
	for i, key := range keys {
		value, err := m.get(key, false)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}

// Set implements [KV].
func (m *MemoryKV) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := Check(ctx, key, ttl); err != nil {
		return err
	}
	value = append(make([]byte, 0, len(value)), value...)
	return m.update(key, ttl, func(*item) ([]byte, error) { return value, nil })
}

// errKept tells update that the value that is there stays.
var errKept = errors.New("kept")

// SetNX implements [SetNXer].
func (m *MemoryKV) SetNX(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := Check(ctx, key, ttl); err != nil {
		return false, err
	}
	value = append(make([]byte, 0, len(value)), value...)
	err := m.update(key, ttl, func(old *item) ([]byte, error) {
		if old != nil {
			return nil, errKept
		}
		return value, nil
	})
	if errors.Is(err, errKept) {
		return false, nil
	}
	return err == nil, err
}

// Increment implements [Counter].
func (m *MemoryKV) Increment(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	if err := Check(ctx, key, ttl); err != nil {
		return 0, err
	}
	var sum int64
	err := m.update(key, ttl, func(old *item) ([]byte, error) {
		sum = delta
		if old != nil {
			n, err := ParseNumber(old.value)
			if err != nil {
				return nil, err
			}
			if sum, err = Add(n, delta); err != nil {
				return nil, err
			}
		}
		return strconv.AppendInt(nil, sum, 10), nil
	})
	if err != nil {
		return 0, err
	}
	return sum, nil
}

// Delete implements [KV].
func (m *MemoryKV) Delete(ctx context.Context, key string) error {
	if err := Check(ctx, key, 0); err != nil {
		return err
	}
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	it, err := m.lookup(s, key)
	if it != nil {
		m.bytes.Add(-s.remove(it))
	}
	return err
}

// Scan implements [Scanner]. It copies the matching keys of one shard after the other.
func (m *MemoryKV) Scan(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for i := range m.shards {
			keys, err := m.shards[i].keys(prefix, m.now())
			for _, key := range keys {
				if err = ctx.Err(); err != nil {
					break
				}
				if !yield(key, nil) {
					return
				}
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield("", err)
				return
			}
		}
	}
}

// DeletePrefix implements [PrefixDeleter]. It holds the lock of one shard after the other.
func (m *MemoryKV) DeletePrefix(ctx context.Context, prefix string) error {
	for i := range m.shards {
		if err := ctx.Err(); err != nil {
			return err
		}
		freed, err := m.shards[i].removePrefix(prefix)
		m.bytes.Add(-freed)
		if err != nil {
			return err
		}
	}
	return nil
}
