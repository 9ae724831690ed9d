package storetest

import (
	"context"
	"iter"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
)

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
