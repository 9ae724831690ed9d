// Package store is a small contract for key-value stores, so that the code above doesn't care which one is behind.
//
// [KV] is what every store can do. What only some can is an ability, an interface of one method that a store
// implements or doesn't: [Counter], [SetNXer], [GetAndDeleter], [MultiGetter], [Scanner], [PrefixDeleter]. The function
// of this package that is named like the method takes any store and answers [errors.ErrUnsupported] where the ability is
// missing. [Prefixed] gives a part of a store to each of several users.
//
// [MemoryKV] keeps its values in memory; the packages below this one are for servers. The contract is executable:
// package storetest.
package store

import (
	"context"
	"errors"
	"iter"
	"time"
)

// What stores answer. Wrapped errors say more; match with [errors.Is].
var (
	// ErrNotFound reports a key that has no value, or no longer.
	ErrNotFound = errors.New("store: key not found")
	// ErrInvalidKey reports an empty key, or one that is longer than the store takes. Nothing was read or changed.
	ErrInvalidKey = errors.New("store: invalid key")
	// ErrInvalidTTL reports a negative ttl. Nothing was changed.
	ErrInvalidTTL = errors.New("store: negative ttl")
	// ErrTooLarge reports a value that is larger than the store takes.
	ErrTooLarge = errors.New("store: value too large")
	// ErrNotNumber reports a value that can't be incremented: it is no number, or the sum would be beyond int64. Nothing
	// was changed.
	ErrNotNumber = errors.New("store: value is no number, or the sum is none of 64 bits")
	// ErrClosed reports a store that was closed.
	ErrClosed = errors.New("store: closed")
)

// KV maps keys to values. A key is any sequence of bytes that is not empty; stores take at least those of up to 200
// bytes, and may refuse longer ones with ErrInvalidKey. A value is any sequence of bytes, also none; stores take at
// least those of up to 512 KiB, and may refuse larger ones with ErrTooLarge.
//
// All methods may be called concurrently. They return when ctx ends, with its error; what they were to change may have
// been changed or not, or is changed a moment later, unless ctx had ended before. A value that is passed in is neither
// changed nor kept, and one that is returned is the caller's own.
type KV interface {
	// Get returns the value of key, or ErrNotFound.
	Get(ctx context.Context, key string) ([]byte, error)
	// Set gives key a value. With a ttl above zero the value stays that long, and is gone at most two seconds later, as
	// some stores know but whole seconds; zero means that it stays, also if it had a ttl before. A negative ttl is
	// ErrInvalidTTL.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Delete removes key; that there is none is no error.
	Delete(ctx context.Context, key string) error
}

// Counter is the ability to count.
type Counter interface {
	// Increment adds delta to the number that key has and returns the sum; a key without a value has zero. The ttl begins
	// anew with each call, as that of [KV.Set]. A number is written in decimal, as by [strconv.FormatInt] with nothing
	// around it, of what int64 can hold. Another value, or a sum beyond that, is ErrNotNumber and changes nothing.
	Increment(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error)
}

// SetNXer is the ability to set what isn't there.
type SetNXer interface {
	// SetNX is Set if key has no value, and reports whether it had none. A value that is there keeps its ttl.
	SetNX(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error)
}

// GetAndDeleter is the ability to take a value out.
type GetAndDeleter interface {
	// GetAndDelete returns the value of key and removes it: of several callers one gets it, the others get ErrNotFound.
	GetAndDelete(ctx context.Context, key string) ([]byte, error)
}

// MultiGetter is the ability to get many values in one round trip.
type MultiGetter interface {
	// MGet returns the values of keys in their order. That of a key without one is nil; an empty value is not nil. The
	// values may be of different moments.
	MGet(ctx context.Context, keys ...string) ([][]byte, error)
}

// Scanner is the ability to list keys.
type Scanner interface {
	// Scan yields the keys that begin with prefix, in no order. What is set or deleted meanwhile may or may not be among
	// them; what was there all the time is, once. An error comes last. The empty prefix is that of all keys.
	Scan(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// PrefixDeleter is the ability to remove many keys.
type PrefixDeleter interface {
	// DeletePrefix removes the keys that begin with prefix. What is set meanwhile may stay, and after an error some of
	// the keys may be gone. The empty prefix is that of all keys.
	DeletePrefix(ctx context.Context, prefix string) error
}
