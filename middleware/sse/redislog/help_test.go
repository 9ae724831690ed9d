package redislog

import (
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// patience bounds every wait for something that has to happen.
const patience = 20 * time.Second

// collect returns the records and the error of a sequence.
func collect(seq iter.Seq2[sse.Record, error]) (records []sse.Record, err error) {
	for r, err := range seq {
		if err != nil {
			return records, err
		}
		records = append(records, r)
	}
	return records, nil
}

// first is the beginning of a sequence.
func first(seq iter.Seq2[sse.Record, error], n int) iter.Seq2[sse.Record, error] {
	return func(yield func(sse.Record, error) bool) {
		left := n
		for r, err := range seq {
			if left--; !yield(r, err) || left == 0 {
				return
			}
		}
	}
}

// until waits for a state.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}

// data returns what records say.
func data(records []sse.Record) []string {
	var all []string
	for _, r := range records {
		if r.Hole {
			all = append(all, "hole")
		} else {
			all = append(all, r.Event.Data)
		}
	}
	return all
}

// wantUnknown checks that neither Since nor Follow continues from an ID.
func wantUnknown(t testing.TB, l *Log, stream, id string) {
	t.Helper()
	if records, err := collect(l.Since(t.Context(), stream, id)); !errors.Is(err, sse.ErrLastIDUnknown) || len(records) > 0 {
		t.Errorf("Since(%q) = %q and %v, want ErrLastIDUnknown", id, data(records), err)
	}
	if records, err := collect(first(l.Follow(t.Context(), stream, id), 1)); !errors.Is(err, sse.ErrLastIDUnknown) || len(records) > 0 {
		t.Errorf("Follow(%q) = %q and %v, want ErrLastIDUnknown", id, data(records), err)
	}
}

// mustAppend appends numbers and returns their IDs.
func mustAppend(t testing.TB, l *Log, stream string, numbers ...int) (ids []string) {
	t.Helper()
	for _, n := range numbers {
		_, id, err := l.Append(t.Context(), stream, numbered(n))
		if err != nil {
			t.Fatalf("Append(%d): %v", n, err)
		}
		ids = append(ids, id)
	}
	return ids
}
