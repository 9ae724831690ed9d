// Package store is a small contract for key-value stores, so that the code above doesn't care which one is behind.
//
// [KV] is what every store can do. What only some can is an ability, an interface of one method that a store
// implements or doesn't: [Counter], [SetNXer], [GetAndDeleter], [MultiGetter], [Scanner], [PrefixDeleter]. A
// function of this package that needs an ability which a store lacks answers [errors.ErrUnsupported].
//
// The contract is executable: package storetest.
package store

import (
	"context"
	"errors"
	"iter"
	"time"
)

// ErrNotFound reports a key that has no value, or no longer.
var ErrNotFound = errors.New("store: key not found")

// KV maps keys to values. A key is any sequence of 1 to 200 bytes, a value any sequence of bytes, also none; stores
// may have lower limits for what they take and say so in their documentation.
//
// All methods may be called concurrently. They return when ctx ends, with its error. A value that is passed in is not
// kept, and one that is returned is the caller's own.
type KV interface {
	// Get returns the value of key, or ErrNotFound.
	Get(ctx context.Context, key string) ([]byte, error)
	// Set gives key a value. With a ttl above zero it is gone after that time; zero means that it stays. A negative ttl
	// is an error.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Delete removes key; that there is none is no error.
	Delete(ctx context.Context, key string) error
}

// Counter is the ability to count.
type Counter interface {
	// Increment adds delta to the number that key has, in decimal, and returns the sum; a key without a value has
	// zero. The ttl begins anew with each call, as that of [KV.Set]. A value that is no number, or a sum beyond int64,
	// is an error and changes nothing.
	Increment(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error)
}

// SetNXer is the ability to set what isn't there.
type SetNXer interface {
	// SetNX is Set if key has no value, and reports whether it had none.
	SetNX(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error)
}

// GetAndDeleter is the ability to take a value out.
type GetAndDeleter interface {
	// GetAndDelete returns the value of key and removes it: of several callers one gets it, the others get ErrNotFound.
	GetAndDelete(ctx context.Context, key string) ([]byte, error)
}

// MultiGetter is the ability to get many values in one round trip.
type MultiGetter interface {
	// MGet returns the values of keys in their order. That of a key without one is nil; an empty value is not nil.
	MGet(ctx context.Context, keys ...string) ([][]byte, error)
}

// Scanner is the ability to list keys.
type Scanner interface {
	// Scan yields the keys that begin with prefix, in no order. What is set or deleted meanwhile may or may not be among
	// them; what was there all the time is, once. An error comes last.
	Scan(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// PrefixDeleter is the ability to remove many keys.
type PrefixDeleter interface {
	// DeletePrefix removes the keys that begin with prefix. What is set meanwhile may stay. The empty prefix is all
	// keys.
	DeletePrefix(ctx context.Context, prefix string) error
}
