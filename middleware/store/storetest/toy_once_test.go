package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/goceleris/celeris/middleware/store"
)

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
