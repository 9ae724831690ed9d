package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"path"
	"runtime"
	"slices"
	"strconv"
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

func (s *toy) Increment(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	if err := s.check(ctx, "Increment", key, ttl); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.live(key)
	if s.has("increments count on what has expired") {
		old, ok = s.items[key]
	}
	if s.has("increments are not atomic") {
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
	}
	var n int64
	if ok {
		var err error
		if n, err = store.ParseNumber(old.value); err != nil {
			switch {
			case s.has("what is no number is zero"):
			case s.has("numbers may be written anyhow"):
				if n, err = strconv.ParseInt(strings.TrimSpace(string(old.value)), 0, 64); err != nil {
					return 0, store.ErrNotNumber
				}
			case s.has("a failed increment sets the ttl"):
				s.put(key, old.value, ttl)
				return 0, err
			case s.has("no number has an error of its own"):
				return 0, errors.New("no number")
			default:
				return 0, err
			}
		}
	}
	sum, err := store.Add(n, delta)
	if err != nil && !s.has("increments wrap") {
		return 0, err
	}
	if err != nil {
		sum = n + delta
	}
	if s.has("numbers are floats") && sum != math.MaxInt64 {
		sum = int64(float64(sum))
	}
	text := strconv.FormatInt(sum, 10)
	if s.has("numbers are binary") {
		text = fmt.Sprintf("%08x", sum)
	}
	if ok && s.has("increments keep the ttl") {
		s.items[key] = entry{[]byte(text), old.until}
		return sum, nil
	}
	if s.has("increments have no ttl") {
		ttl = 0
	}
	s.put(key, []byte(text), ttl)
	return sum, nil
}

func (s *toy) SetNX(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := s.check(ctx, "SetNX", key, ttl); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.live(key)
	if s.has("SetNX sees what has expired") {
		_, ok = s.items[key]
	}
	if s.has("SetNX is not atomic") {
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
	}
	if ok {
		if s.has("SetNX sets the ttl of what is there") {
			s.put(key, old.value, ttl)
		}
		if s.has("SetNX replaces what is there") {
			s.put(key, value, ttl)
		}
		return false, nil
	}
	if s.has("SetNX has no ttl") {
		ttl = 0
	}
	s.put(key, value, ttl)
	return true, nil
}

func (s *toy) GetAndDelete(ctx context.Context, key string) ([]byte, error) {
	if err := s.check(ctx, "GetAndDelete", key, 0); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.live(key)
	if s.has("GetAndDelete sees what has expired") {
		e, ok = s.items[key]
	}
	if s.has("GetAndDelete is not atomic") {
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
	}
	if !ok {
		if s.has("GetAndDelete of nothing is nil") {
			return nil, nil
		}
		return nil, store.ErrNotFound
	}
	if !s.has("GetAndDelete removes nothing") {
		delete(s.items, key)
	}
	return s.out(e.value), nil
}

func (s *toy) MGet(ctx context.Context, keys ...string) ([][]byte, error) {
	for _, key := range keys {
		if err := s.check(ctx, "MGet", key, 0); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.has("MGet answers in order of keys") {
		keys = slices.Sorted(slices.Values(keys))
	}
	values := [][]byte{}
	for _, key := range keys {
		e, ok := s.live(key)
		if s.has("MGet sees what has expired") {
			e, ok = s.items[key]
		}
		switch {
		case ok && (len(e.value) > 0 || !s.has("MGet has nil for what is empty")):
			values = append(values, s.out(e.value))
		case ok, !s.has("MGet leaves out what isn't there") && !s.has("MGet has empty for what isn't there"):
			values = append(values, nil)
		case s.has("MGet has empty for what isn't there"):
			values = append(values, []byte{})
		}
	}
	if s.has("MGet shares the values of a key") {
		for i := range keys {
			values[i] = values[slices.Index(keys, keys[i])]
		}
	}
	return values, nil
}

func (s *toy) matches(key, prefix string) bool {
	switch {
	case s.has("prefixes are patterns"):
		ok, err := path.Match(prefix+"*", strings.ReplaceAll(key, "/", ""))
		return ok && err == nil
	case s.has("prefixes end at ranges"):
		return key >= prefix && (prefix == "" || key < prefix[:len(prefix)-1]+string([]byte{prefix[len(prefix)-1] + 1}))
	case s.has("the prefix itself has no key"):
		return strings.HasPrefix(key, prefix) && key != prefix
	case s.has("the empty prefix is none"):
		return prefix != "" && strings.HasPrefix(key, prefix)
	case s.has("prefixes may be anywhere"):
		return strings.Contains(key, prefix)
	}
	return strings.HasPrefix(key, prefix)
}

func (s *toy) Scan(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := s.check(ctx, "Scan", "x", 0); err != nil {
			yield("", err)
			return
		}
		page, offset, last := 500, 0, ""
		for first := true; ; first = false {
			s.mu.Lock()
			keys := slices.Sorted(maps.Keys(s.items))
			if !s.has("Scan lists what has expired") {
				keys = slices.DeleteFunc(keys, func(key string) bool { _, ok := s.live(key); return !ok })
			}
			s.mu.Unlock()
			keys = slices.DeleteFunc(keys, func(key string) bool { return !s.matches(key, prefix) })
			if s.has("Scan goes on by number") {
				keys = keys[min(len(keys), offset):]
			} else if at, found := slices.BinarySearch(keys, last); !first {
				if found && !s.has("Scan repeats where it goes on") {
					at++
				}
				keys = keys[at:]
			}
			for i, key := range keys[:min(len(keys), page)] {
				if err := ctx.Err(); err != nil && !s.has("Scan ends without its error") {
					for yield("", err) && s.has("Scan goes on after an error") && i < page {
						i++
					}
					return
				} else if err != nil {
					return
				}
				if !yield(key, nil) {
					return
				}
			}
			if len(keys) <= page || s.has("Scan has one page") {
				return
			}
			last = keys[page-1]
			offset += page
			runtime.Gosched()
		}
	}
}

func (s *toy) DeletePrefix(ctx context.Context, prefix string) error {
	if err := s.check(ctx, "DeletePrefix", "x", 0); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for key := range s.items {
		if s.matches(key, prefix) {
			delete(s.items, key)
			if n++; n == 1000 && s.has("DeletePrefix has one page") {
				break
			}
		}
	}
	return nil
}
