package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Abilities is a set of what a store can do beside [KV], one bit each.
type Abilities uint8

// The abilities, each named like its method.
const (
	CanIncrement    Abilities = 1 << iota // Counter
	CanSetNX                              // SetNXer
	CanGetAndDelete                       // GetAndDeleter
	CanMGet                               // MultiGetter
	CanScan                               // Scanner
	CanDeletePrefix                       // PrefixDeleter

	// AllAbilities is the set of all.
	AllAbilities = CanIncrement | CanSetNX | CanGetAndDelete | CanMGet | CanScan | CanDeletePrefix
)

// AbilitiesOf returns what kv can do beside KV.
func AbilitiesOf(kv KV) Abilities {
	var a Abilities
	add := func(ability Abilities, has bool) {
		if has {
			a |= ability
		}
	}
	_, has := kv.(Counter)
	add(CanIncrement, has)
	_, has = kv.(SetNXer)
	add(CanSetNX, has)
	_, has = kv.(GetAndDeleter)
	add(CanGetAndDelete, has)
	_, has = kv.(MultiGetter)
	add(CanMGet, has)
	_, has = kv.(Scanner)
	add(CanScan, has)
	_, has = kv.(PrefixDeleter)
	add(CanDeletePrefix, has)
	return a
}

// String returns the names of the methods, or "none".
func (a Abilities) String() string {
	var names []string
	for i, name := range []string{"Increment", "SetNX", "GetAndDelete", "MGet", "Scan", "DeletePrefix"} {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}

// unsupported is the answer for a store that lacks an ability.
func unsupported(a Abilities) error {
	return fmt.Errorf("store: this store has no %v: %w", a, errors.ErrUnsupported)
}

// Increment is [Counter.Increment] of kv, or [errors.ErrUnsupported].
func Increment(ctx context.Context, kv KV, key string, delta int64, ttl time.Duration) (int64, error) {
	if s, ok := kv.(Counter); ok {
		return s.Increment(ctx, key, delta, ttl)
	}
	return 0, unsupported(CanIncrement)
}

// SetNX is [SetNXer.SetNX] of kv, or [errors.ErrUnsupported].
func SetNX(ctx context.Context, kv KV, key string, value []byte, ttl time.Duration) (bool, error) {
	if s, ok := kv.(SetNXer); ok {
		return s.SetNX(ctx, key, value, ttl)
	}
	return false, unsupported(CanSetNX)
}

// GetAndDelete is [GetAndDeleter.GetAndDelete] of kv, or [errors.ErrUnsupported].
func GetAndDelete(ctx context.Context, kv KV, key string) ([]byte, error) {
	if s, ok := kv.(GetAndDeleter); ok {
		return s.GetAndDelete(ctx, key)
	}
	return nil, unsupported(CanGetAndDelete)
}

// MGet is [MultiGetter.MGet] of kv, or [errors.ErrUnsupported].
func MGet(ctx context.Context, kv KV, keys ...string) ([][]byte, error) {
	if s, ok := kv.(MultiGetter); ok {
		return s.MGet(ctx, keys...)
	}
	return nil, unsupported(CanMGet)
}

// Scan is [Scanner.Scan] of kv, or yields [errors.ErrUnsupported].
func Scan(ctx context.Context, kv KV, prefix string) iter.Seq2[string, error] {
	if s, ok := kv.(Scanner); ok {
		return s.Scan(ctx, prefix)
	}
	return func(yield func(string, error) bool) { yield("", unsupported(CanScan)) }
}

// DeletePrefix is [PrefixDeleter.DeletePrefix] of kv, or [errors.ErrUnsupported].
func DeletePrefix(ctx context.Context, kv KV, prefix string) error {
	if s, ok := kv.(PrefixDeleter); ok {
		return s.DeletePrefix(ctx, prefix)
	}
	return unsupported(CanDeletePrefix)
}
