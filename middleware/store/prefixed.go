package store

import (
	"context"
	"fmt"
	"iter"
	"time"
)

//go:generate go run gen.go

// Prefixed returns the part of kv whose keys begin with prefix, as a store whose keys don't have it. It has exactly
// the abilities of kv. The prefix counts for the length of a key. A key of kv that is just the prefix isn't seen through
// it, but DeletePrefix of all keys removes it.
//
// Two parts are apart from each other if no prefix begins with the other: "a:" and "b:" are, "a" and "ab" aren't.
func Prefixed(kv KV, prefix string) KV {
	p := &prefixed{KV: kv, prefix: prefix}
	p.counter, _ = kv.(Counter)
	p.setNXer, _ = kv.(SetNXer)
	p.getAndDeleter, _ = kv.(GetAndDeleter)
	p.multiGetter, _ = kv.(MultiGetter)
	p.scanner, _ = kv.(Scanner)
	p.prefixDeleter, _ = kv.(PrefixDeleter)
	return restrict(p, AbilitiesOf(kv))
}

// able is a store with all abilities.
type able interface {
	KV
	Counter
	SetNXer
	GetAndDeleter
	MultiGetter
	Scanner
	PrefixDeleter
}

// prefixed has the methods of all abilities; those that the store below lacks are nil and hidden by restrict.
type prefixed struct {
	KV
	prefix string

	counter       Counter
	setNXer       SetNXer
	getAndDeleter GetAndDeleter
	multiGetter   MultiGetter
	scanner       Scanner
	prefixDeleter PrefixDeleter
}

// key returns the key of the store below. An empty one would be valid there.
func (p *prefixed) key(key string) (string, error) {
	if key == "" {
		return "", fmt.Errorf("%w: empty", ErrInvalidKey)
	}
	return p.prefix + key, nil
}

func (p *prefixed) Get(ctx context.Context, key string) ([]byte, error) {
	k, err := p.key(key)
	if err != nil {
		return nil, err
	}
	return p.KV.Get(ctx, k)
}

func (p *prefixed) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	k, err := p.key(key)
	if err != nil {
		return err
	}
	return p.KV.Set(ctx, k, value, ttl)
}

func (p *prefixed) Delete(ctx context.Context, key string) error {
	k, err := p.key(key)
	if err != nil {
		return err
	}
	return p.KV.Delete(ctx, k)
}

func (p *prefixed) Increment(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	k, err := p.key(key)
	if err != nil {
		return 0, err
	}
	return p.counter.Increment(ctx, k, delta, ttl)
}

func (p *prefixed) SetNX(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	k, err := p.key(key)
	if err != nil {
		return false, err
	}
	return p.setNXer.SetNX(ctx, k, value, ttl)
}

func (p *prefixed) GetAndDelete(ctx context.Context, key string) ([]byte, error) {
	k, err := p.key(key)
	if err != nil {
		return nil, err
	}
	return p.getAndDeleter.GetAndDelete(ctx, k)
}

func (p *prefixed) MGet(ctx context.Context, keys ...string) ([][]byte, error) {
	below := make([]string, len(keys))
	for i, key := range keys {
		k, err := p.key(key)
		if err != nil {
			return nil, err
		}
		below[i] = k
	}
	return p.multiGetter.MGet(ctx, below...)
}

func (p *prefixed) Scan(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for key, err := range p.scanner.Scan(ctx, p.prefix+prefix) {
			if err != nil {
				yield("", err)
				return
			}
			if len(key) > len(p.prefix) && !yield(key[len(p.prefix):], nil) {
				return
			}
		}
	}
}

func (p *prefixed) DeletePrefix(ctx context.Context, prefix string) error {
	return p.prefixDeleter.DeletePrefix(ctx, p.prefix+prefix)
}
