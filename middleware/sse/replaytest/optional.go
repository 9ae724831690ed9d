package replaytest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/goceleris/celeris/middleware/sse"
)

// follow reads n records and then leaves the loop. It gives up with ctx.
func follow(ctx context.Context, f sse.Follower, stream, lastID string, n int) (records []sse.Record, err error) {
	for record, err := range f.Follow(ctx, stream, lastID) {
		if err != nil {
			return records, err
		}
		if records = append(records, record); len(records) == n {
			break
		}
	}
	return records, nil
}

func checkFollow(t testing.TB, store sse.ReplayStore, stream string) {
	f, ok := store.(sse.Follower)
	if !ok {
		t.Skip("not a Follower")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	records := fill(t, store, stream, 10)
	want := append(records[3:len(records):len(records)], sse.Record{}, sse.Record{})

	// Each of the later records is appended when what came before it has been
	// seen, so that the follower is at the head, most likely waiting there.
	var got []sse.Record
	ended := errors.New("enough")
	followCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var last error
	for record, err := range f.Follow(followCtx, stream, records[2].ID) {
		if err != nil {
			last = err
			continue
		}
		if got = append(got, record); len(got) > len(want) {
			break
		}
		switch len(got) {
		case len(want):
			stop(ended)
		case 7, 8:
			_, want[len(got)] = mustAppend(t, store, stream, sse.Record{Event: event(100 + len(got))})
		}
	}
	wantRecords(t, "Follow from the third record", got, want)
	if !errors.Is(last, context.Canceled) && !errors.Is(last, ended) {
		t.Errorf("Follow ended with %v, want the error of its context", last)
	}

	// An empty ID means from the oldest record on.
	got, err := follow(ctx, f, stream, "", 12)
	if err != nil {
		t.Errorf("Follow(\"\"): %v", err)
	}
	wantRecords(t, "Follow(\"\")", got, append(records, want[7:]...))
}

func checkFollowConcurrent(t testing.TB, store sse.ReplayStore, stream string) {
	f, ok := store.(sse.Follower)
	if !ok {
		t.Skip("not a Follower")
	}
	const total, followers = 150, 4
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, start := mustOpen(t, store, stream)
	got := make([][]sse.Record, followers)
	var wg sync.WaitGroup
	for i := range followers {
		lastID := start
		if i%2 == 1 {
			lastID = ""
		}
		wg.Go(func() {
			var err error
			if got[i], err = follow(ctx, f, stream, lastID, total); err != nil {
				t.Errorf("Follow(%q): %v after %d records, want %d", lastID, err, len(got[i]), total)
			}
		})
	}
	want := make([]sse.Record, total)
	for n := range want {
		record := sse.Record{Event: event(n)}
		_, id, err := store.Append(ctx, stream, record)
		if err != nil {
			t.Errorf("Append: %v", err)
			cancel()
			break
		}
		record.ID = id
		want[n] = record
	}
	wg.Wait()
	for i := range got {
		wantRecords(t, "Follow during appends", got[i], want)
	}
}

func checkFollowUnknown(t testing.TB, store sse.ReplayStore, stream string) {
	f, ok := store.(sse.Follower)
	if !ok {
		t.Skip("not a Follower")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	records := fill(t, store, stream, 3)
	for _, id := range strangeIDs(t, records[2].ID) {
		if got, err := follow(ctx, f, stream, id, 1); !errors.Is(err, sse.ErrLastIDUnknown) || len(got) > 0 {
			t.Errorf("Follow(%q) = %d records and %v, want none and ErrLastIDUnknown", id, len(got), err)
		}
	}
}

func checkRotate(t testing.TB, store sse.ReplayStore, stream string) {
	r, ok := store.(sse.Rotator)
	if !ok {
		t.Skip("not a Rotator")
	}
	records := fill(t, store, stream, 3)
	old, start := mustOpen(t, store, stream)
	epoch, err := r.Rotate(t.Context(), stream, old)
	if err != nil || epoch == old {
		t.Fatalf("Rotate(%q) = %q, %v, want another epoch", old, epoch, err)
	}
	if again, err := r.Rotate(t.Context(), stream, old); err != nil || again != epoch {
		t.Errorf("Rotate(%q) a second time = %q, %v, want the epoch in force, %q", old, again, err, epoch)
	}
	wantUnknown(t, store, stream, start)
	for _, record := range records {
		wantUnknown(t, store, stream, record.ID)
	}
	wantSince(t, store, stream, "", nil)
	now, head := mustOpen(t, store, stream)
	if now != epoch {
		t.Errorf("epoch after Rotate = %q, want %q", now, epoch)
	}
	records = fill(t, store, stream, 3)
	wantSince(t, store, stream, head, records)
}
