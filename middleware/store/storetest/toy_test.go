package storetest

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goceleris/celeris/middleware/store"
)

// A toy is a store in a map that has one fault, or none.
type toy struct {
	fault string

	mu    sync.Mutex // guards items
	items map[string]entry
}

type entry struct {
	value []byte
	until time.Time // zero if it stays
}

func newToy(fault string) *toy { return &toy{fault: fault, items: map[string]entry{}} }

// has reports whether this is the toy's fault.
func (s *toy) has(fault string) bool { return s.fault == fault }

func (s *toy) key(key string) string {
	switch {
	case s.has("keys are case-insensitive"):
		return strings.ToLower(key)
	case s.has("keys end at NUL"):
		key, _, _ = strings.Cut(key, "\x00")
	case s.has("keys are trimmed"):
		return strings.TrimSpace(key)
	case s.has("keys are cut"):
		return key[:min(len(key), keySize-1)]
	case s.has("keys are made UTF-8"):
		return strings.ToValidUTF8(key, "?")
	}
	return key
}

func (s *toy) check(ctx context.Context, method, key string, ttl time.Duration) error {
	err := store.Check(ctx, key, ttl)
	switch {
	case err == nil, ctx.Err() != nil && s.has(method+" ignores its context"):
		return nil
	case ctx.Err() != nil && s.has("cancellation has an error of its own"):
		return context.Cause(ctx)
	case key == "" && s.has("the empty key is one"), ttl < 0 && s.has("negative ttls are none"):
		return nil
	}
	return err
}

// live returns the entry of a key; s is locked.
func (s *toy) live(key string) (entry, bool) {
	e, ok := s.items[s.key(key)]
	if ok && !e.until.IsZero() && !time.Now().Before(e.until) {
		return entry{}, false
	}
	if ok && len(e.value) == 0 && s.has("empty values are none") {
		return entry{}, false
	}
	return e, ok
}

// put stores an entry; s is locked.
func (s *toy) put(key string, value []byte, ttl time.Duration) {
	e := entry{value: value}
	switch {
	case s.has("values are kept"):
	case s.has("values are made UTF-8"):
		e.value = []byte(strings.ToValidUTF8(string(value), "?"))
	case s.has("values are cut"):
		e.value = slices.Clone(value[:min(len(value), valueSize-1)])
	default:
		e.value = slices.Clone(value)
	}
	switch {
	case ttl == 0, s.has("ttls are ignored"):
	case s.has("ttls of a month are moments") && ttl > 30*24*time.Hour:
		e.until = time.Unix(int64(ttl/time.Second), 0)
	case s.has("ttls are whole milliseconds") && ttl < time.Millisecond:
	case s.has("ttls are cut to seconds"):
		e.until = time.Now().Add(ttl.Truncate(time.Second))
	case s.has("ttls have 32 bits"):
		e.until = time.Now().Add(time.Duration(int32(ttl/time.Second+1)) * time.Second)
	case s.has("ttls overflow"):
		e.until = time.Unix(0, time.Now().UnixNano()+int64(ttl))
	default:
		e.until = time.Now().Add(ttl)
	}
	if old, ok := s.items[s.key(key)]; ok && ttl == 0 && s.has("no ttl keeps the old one") {
		e.until = old.until
	}
	if s.has("the first ttl stays") {
		if old, ok := s.live(key); ok && !old.until.IsZero() {
			e.until = old.until
		}
	}
	s.items[s.key(key)] = e
}

func (s *toy) out(value []byte) []byte {
	if s.has("values are shared") {
		return value
	}
	return append([]byte{}, value...)
}

func (s *toy) Get(ctx context.Context, key string) ([]byte, error) {
	if err := s.check(ctx, "Get", key, 0); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.live(key)
	if !ok {
		if s.has("what isn't there has an error of its own") {
			return nil, errors.New("none")
		}
		return nil, store.ErrNotFound
	}
	return s.out(e.value), nil
}

func (s *toy) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.check(ctx, "Set", key, ttl); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(key) > keySize && s.has("long keys have an error of their own") || len(value) > valueSize && s.has("large values have an error of their own") {
		return errors.New("refused")
	}
	if len(value) > valueSize && s.has("what is too large removes the value") {
		delete(s.items, key)
		return store.ErrTooLarge
	}
	if s.has("values are torn") {
		s.put(key, value[:len(value)/2], ttl)
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
	}
	s.put(key, value, ttl)
	return nil
}

func (s *toy) Delete(ctx context.Context, key string) error {
	if err := s.check(ctx, "Delete", key, 0); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.live(key); !ok && s.has("deleting nothing is an error") {
		return store.ErrNotFound
	}
	delete(s.items, s.key(key))
	return nil
}
