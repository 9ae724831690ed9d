package replaytest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// Faults makes the way between a store and where it keeps its streams unreliable. Each function may be nil if that
// can't be done.
type Faults struct {
	// Lose makes some requests fail, before or after they took effect, until it is called with false. Those that
	// succeed may be delayed or done twice.
	Lose func(on bool)
	// Rewind keeps the state as it is now, and returns what brings it back.
	Rewind func() (restore func())
}

// RunFaults checks what a store says when it can't know what happened. Open returns a store, and what breaks it.
func RunFaults(t *testing.T, open func(t *testing.T) (sse.ReplayStore, Faults)) {
	t.Helper()
	runFaults(t, plain, open)
}

func runFaults(t *testing.T, in where, open func(t *testing.T) (sse.ReplayStore, Faults)) {
	t.Helper()
	t.Run("LostAnswers", func(t *testing.T) {
		in(t, func(t *testing.T) {
			store, faults := open(t)
			checkLostAnswers(t, store, faults, streamName())
		})
	})
	t.Run("HeadMovesBack", func(t *testing.T) {
		in(t, func(t *testing.T) {
			store, faults := open(t)
			checkRewind(t, store, faults, streamName())
		})
	})
}

// outcome is what became of an append.
type outcome struct {
	id  string
	err error
}

func checkLostAnswers(t testing.TB, store sse.ReplayStore, faults Faults, stream string) {
	if faults.Lose == nil {
		t.Skip("requests can't be lost")
	}
	const writers, each = 4, 20
	fill(t, store, stream, 1)
	_, start := mustOpen(t, store, stream)
	var mu sync.Mutex
	outcomes := make(map[string]outcome) // by data
	var wg sync.WaitGroup
	faults.Lose(true)
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				e := event(w*1000 + n)
				_, id, err := store.Append(t.Context(), stream, sse.Record{Event: e})
				mu.Lock()
				outcomes[e.Data] = outcome{id, err}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	faults.Lose(false)
	for n := range 3 {
		e := event(100_000 + n)
		_, record := mustAppend(t, store, stream, sse.Record{Event: e})
		outcomes[e.Data] = outcome{record.ID, nil}
	}

	got, err := since(t.Context(), t, store, stream, start)
	if err != nil {
		t.Fatalf("Since(%q): %v", start, err)
	}
	judge(t, start, got, outcomes)
	// What was read stays as it was read: nothing appears behind a reader's back.
	again, err := since(t.Context(), t, store, stream, start)
	if err != nil || len(again) < len(got) {
		t.Fatalf("Since a second time = %d records, %v, want at least %d", len(again), err, len(got))
	}
	wantRecords(t, "Since a second time", again[:len(got)], got)
	for i, record := range got {
		wantSince(t, store, stream, record.ID, again[i+1:])
	}
}

// judge compares a stream with what its writers were told.
func judge(t testing.TB, start string, got []sse.Record, outcomes map[string]outcome) {
	t.Helper()
	found := make(map[string]string)
	last := start
	for _, record := range got {
		if !less(t, last, record.ID) {
			t.Errorf("%q comes behind %q", record.ID, last)
		}
		last = record.ID
		if record.Hole {
			continue
		}
		data := record.Event.Data
		o, ok := outcomes[data]
		switch {
		case !ok:
			t.Errorf("%q: %q was never appended", record.ID, data)
		case found[data] != "":
			t.Errorf("%q is stored twice: %q and %q", data, found[data], record.ID)
		case o.err == nil && o.id != record.ID:
			t.Errorf("%q has the ID %q, and Append returned %q", data, record.ID, o.id)
		case o.err != nil && !errors.Is(o.err, sse.ErrOutcomeUnknown):
			t.Errorf("%q is stored as %q, though Append returned %v", data, record.ID, o.err)
		}
		found[data] = record.ID
	}
	for data, o := range outcomes {
		if o.err == nil && found[data] == "" {
			t.Errorf("%q is missing, though Append returned %q", data, o.id)
		}
	}
}

func checkRewind(t testing.TB, store sse.ReplayStore, faults Faults, stream string) {
	if faults.Rewind == nil {
		t.Skip("the state can't be brought back")
	}
	fill(t, store, stream, 5)
	restore := faults.Rewind()
	lost := make(map[string]sse.Record)
	for n := range 5 {
		_, record := mustAppend(t, store, stream, sse.Record{Event: event(100 + n)})
		lost[record.ID] = record
	}
	restore()
	var after []sse.Record
	for n := range 8 {
		_, record := mustAppend(t, store, stream, sse.Record{Event: event(200 + n)})
		if _, ok := lost[record.ID]; ok {
			t.Errorf("after the head moved back the ID %q was given to another record", record.ID)
		}
		after = append(after, record)
	}
	got, err := since(t.Context(), t, store, stream, "")
	if err != nil || len(got) < len(after) {
		t.Fatalf("Since(\"\") after the head moved back = %d records, %v, want at least %d", len(got), err, len(after))
	}
	wantRecords(t, "what was appended after the head moved back", got[len(got)-len(after):], after)
	// Who has seen what was lost is told so, or goes on from there if positions only ever rise. Of what else was lost
	// there may be holes, or the record if it was not lost after all.
	for id := range lost {
		got, err := since(t.Context(), t, store, stream, id)
		if errors.Is(err, sse.ErrLastIDUnknown) && len(got) == 0 {
			continue
		}
		if err != nil || less(t, after[0].ID, id) {
			t.Errorf("Since(%q), which was lost = %d records, %v, want ErrLastIDUnknown", id, len(got), err)
			continue
		}
		got = slices.DeleteFunc(got, func(r sse.Record) bool {
			record, ok := lost[r.ID]
			return ok && less(t, id, r.ID) && (r.Hole || equal(r, record))
		})
		wantRecords(t, fmt.Sprintf("Since(%q), which was lost", id), got, after)
	}
}

// Unreliable returns a store whose appends come back shuffled, and some of them with [sse.ErrOutcomeUnknown], whether
// they took effect or not, for tests of who uses a store. Reads are those of the store. It is no [sse.Follower].
func Unreliable(store sse.ReplayStore, seed uint64) sse.ReplayStore {
	return &unreliable{ReplayStore: store, rand: rand.New(rand.NewPCG(seed, seed))}
}

type unreliable struct {
	sse.ReplayStore
	mu     sync.Mutex // guards all below
	rand   *rand.Rand
	passed chan struct{} // closed when the next append returns
	calm   bool          // nothing is lost any more
}

// Append may hold its answer back until another one has passed it, but not for long.
func (u *unreliable) Append(ctx context.Context, stream string, record sse.Record) (previous, id string, err error) {
	u.mu.Lock()
	fate := 2
	if !u.calm {
		fate = u.rand.IntN(8)
	}
	u.mu.Unlock()
	if fate == 0 && ctx.Err() == nil {
		return "", "", fmt.Errorf("lost before it took effect: %w", sse.ErrOutcomeUnknown)
	}
	previous, id, err = u.ReplayStore.Append(ctx, stream, record)
	if fate >= 4 {
		u.mu.Lock()
		if u.passed == nil {
			u.passed = make(chan struct{})
		}
		passed := u.passed
		u.mu.Unlock()
		timer := time.NewTimer(10 * time.Millisecond)
		defer timer.Stop()
		select {
		case <-passed:
		case <-timer.C:
		case <-ctx.Done():
		}
	} else {
		u.mu.Lock()
		if u.passed != nil {
			close(u.passed)
			u.passed = nil
		}
		u.mu.Unlock()
	}
	if err == nil && fate == 1 {
		return "", "", fmt.Errorf("lost after it took effect: %w", sse.ErrOutcomeUnknown)
	}
	return previous, id, err
}
