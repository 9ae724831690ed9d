package sse_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/sse/replaytest"
)

func TestRingBuffer_KeepsTheContract(t *testing.T) {
	replaytest.Run(t, func(t *testing.T) sse.ReplayStore { return sse.NewRingBuffer(256) })
}

// appendEvents appends n events to the stream and returns their IDs.
func appendEvents(t *testing.T, store sse.ReplayStore, stream string, n int) []string {
	t.Helper()
	ids := make([]string, n)
	for i := range ids {
		_, id, err := store.Append(t.Context(), stream, sse.Record{Event: sse.Event{Data: fmt.Sprint(i)}})
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = id
	}
	return ids
}

// idsSince returns the IDs that Since yields, and its error.
func idsSince(t *testing.T, store sse.ReplayStore, stream, lastID string) (ids []string, err error) {
	t.Helper()
	for record, err := range store.Since(t.Context(), stream, lastID) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, record.ID)
	}
	return ids, nil
}

func TestRingBuffer_KeepsExactlyTheNewest(t *testing.T) {
	for _, size := range []int{1, 2, 3, 7, 64, 65} {
		ring := sse.NewRingBuffer(size)
		epoch, _, err := ring.Open(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		for head := range uint64(3*size + 1) {
			if head > 10 && head%9 > 1 {
				appendEvents(t, ring, "s", 1)
				continue
			}
			oldest := head - min(head, uint64(size))
			for position := range head + 2 {
				id := sse.FormatID(epoch, position)
				got, err := idsSince(t, ring, "s", id)
				if position < oldest || position > head {
					if !errors.Is(err, sse.ErrLastIDUnknown) || len(got) > 0 {
						t.Fatalf("size %d, head %d: Since(%s) = %v, %v, want ErrLastIDUnknown", size, head, id, got, err)
					}
					continue
				}
				if err != nil || uint64(len(got)) != head-position {
					t.Fatalf("size %d, head %d: Since(%s) = %v, %v, want %d records", size, head, id, got, err, head-position)
				}
				for i, got := range got {
					if want := sse.FormatID(epoch, position+1+uint64(i)); got != want {
						t.Fatalf("size %d, head %d: Since(%s)[%d] = %s, want %s", size, head, id, i, got, want)
					}
				}
			}
			appendEvents(t, ring, "s", 1)
		}
	}
}

func TestRingBuffer_ZeroKeeps1024(t *testing.T) {
	ring := sse.NewRingBuffer(0)
	appendEvents(t, ring, "s", 1030)
	got, err := idsSince(t, ring, "s", "")
	if err != nil || len(got) != 1024 {
		t.Errorf("Since(\"\") = %d records, %v, want 1024", len(got), err)
	}
}

func TestNewRingBuffer_RefusesNegativeSizes(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("NewRingBuffer(-1) did not panic")
		}
	}()
	sse.NewRingBuffer(-1)
}

func TestRingBuffer_ForgetsTheLongestIdleStream(t *testing.T) {
	const limit = 4096
	ring := sse.NewRingBuffer(2)
	name := func(n int) string { return fmt.Sprintf("stream-%d", n) }
	first := make([]string, limit)
	for n := range limit {
		first[n] = appendEvents(t, ring, name(n), 1)[0]
	}

	// Reading is use, and so is opening: 2 is now the longest idle one.
	if got, err := idsSince(t, ring, name(0), first[0]); err != nil || len(got) > 0 {
		t.Fatalf("Since = %v, %v, want nothing new", got, err)
	}
	if _, _, err := ring.Open(t.Context(), name(1)); err != nil {
		t.Fatal(err)
	}
	appendEvents(t, ring, "one more", 1)
	for n, want := range []error{nil, nil, sse.ErrLastIDUnknown, nil} {
		if _, err := idsSince(t, ring, name(n), first[n]); !errors.Is(err, want) {
			t.Errorf("Since in %s = %v, want %v", name(n), err, want)
		}
	}

	// It comes back under another epoch: its ID from before means nothing.
	second := appendEvents(t, ring, name(2), 1)[0]
	if _, position, _ := sse.ParseID(second); position != 1 || second == first[2] {
		t.Errorf("first ID of the new stream = %s, the forgotten one's was %s", second, first[2])
	}
	if got, err := idsSince(t, ring, name(2), first[2]); !errors.Is(err, sse.ErrLastIDUnknown) {
		t.Errorf("Since(ID of the forgotten stream) = %v, %v, want ErrLastIDUnknown", got, err)
	}
}

func TestRingBuffer_SinceOfANewStreamDoesNotCreateIt(t *testing.T) {
	ring := sse.NewRingBuffer(1)
	kept := appendEvents(t, ring, "kept", 1)[0]
	for n := range 5000 {
		if got, err := idsSince(t, ring, fmt.Sprint(n), ""); err != nil || len(got) > 0 {
			t.Fatalf("Since in a stream that doesn't exist = %v, %v, want nothing", got, err)
		}
	}
	if _, err := idsSince(t, ring, "kept", kept); err != nil {
		t.Errorf("reading streams that don't exist pushed out one that does: %v", err)
	}
}

func TestRingBuffer_SinceTellsWhenItIsOvertaken(t *testing.T) {
	const size = 200
	ring := sse.NewRingBuffer(size)
	appendEvents(t, ring, "s", size)
	var got []string
	var last error
	for record, err := range ring.Since(t.Context(), "s", "") {
		if err != nil {
			last = err
			continue
		}
		if got = append(got, record.ID); len(got) == 1 {
			appendEvents(t, ring, "s", 2*size)
		}
	}
	if !errors.Is(last, sse.ErrLastIDUnknown) || len(got) >= size {
		t.Errorf("Since = %d records and %v, want fewer than %d and ErrLastIDUnknown", len(got), last, size)
	}
	for i, id := range got {
		if _, position, _ := sse.ParseID(id); position != uint64(i+1) {
			t.Fatalf("record %d has the ID %s", i, id)
		}
	}
}

func TestRingBuffer_SinceEndsAtTheHeadItBeganWith(t *testing.T) {
	ring := sse.NewRingBuffer(1000)
	appendEvents(t, ring, "s", 10)
	n := 0
	for _, err := range ring.Since(t.Context(), "s", "") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n > 10 {
			t.Fatal("Since chases what is appended while it is read")
		}
		appendEvents(t, ring, "s", 1)
	}
}

// follower follows a stream in a goroutine of the bubble.
type follower struct {
	ids []string
	err error
}

func startFollower(ctx context.Context, ring *sse.RingBuffer, stream, lastID string) *follower {
	f := new(follower)
	go func() {
		for record, err := range ring.Follow(ctx, stream, lastID) {
			if err != nil {
				f.err = err
				continue
			}
			f.ids = append(f.ids, record.ID)
		}
	}()
	synctest.Wait()
	return f
}

func TestRingBuffer_FollowWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring := sse.NewRingBuffer(3)
		ctx, cancel := context.WithCancelCause(t.Context())
		followers := []*follower{
			startFollower(ctx, ring, "s", ""), // creates the stream
			startFollower(ctx, ring, "s", ""),
		}
		for n := range 10 {
			want := appendEvents(t, ring, "s", 1)[0]
			synctest.Wait()
			for _, f := range followers {
				if len(f.ids) != n+1 || f.ids[n] != want || f.err != nil {
					t.Fatalf("after append %d: %v, %v, want %s last", n, f.ids, f.err, want)
				}
			}
		}
		cause := errors.New("enough")
		cancel(cause)
		synctest.Wait()
		for _, f := range followers {
			if !errors.Is(f.err, cause) {
				t.Errorf("Follow ended with %v, want the cause of its context", f.err)
			}
		}
	})
}

func TestRingBuffer_FollowTellsWhenItIsOvertaken(t *testing.T) {
	ring := sse.NewRingBuffer(5)
	id := appendEvents(t, ring, "s", 3)[1]
	n := 0
	var last error
	for _, err := range ring.Follow(t.Context(), "s", id) {
		if last = err; err != nil {
			break
		}
		n++
		appendEvents(t, ring, "s", 6)
	}
	if n != 1 || !errors.Is(last, sse.ErrLastIDUnknown) {
		t.Errorf("Follow = %d records and %v, want 1 and ErrLastIDUnknown", n, last)
	}
}

func TestRingBuffer_FollowEndsWithItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring := sse.NewRingBuffer(1)
		f := startFollower(t.Context(), ring, "s", "")
		for n := range 4096 {
			appendEvents(t, ring, fmt.Sprint(n), 1)
		}
		synctest.Wait()
		if !errors.Is(f.err, sse.ErrLastIDUnknown) {
			t.Errorf("follower of a forgotten stream ended with %v, want ErrLastIDUnknown", f.err)
		}
	})
}

func TestParseID_ReadsWhatFormatIDWrites(t *testing.T) {
	for _, epoch := range []string{"a", "0", "Az09", "ABCDEFGHIJKLM"} {
		for _, position := range []uint64{0, 1, 10, 1<<64 - 1} {
			id := sse.FormatID(epoch, position)
			gotEpoch, gotPosition, err := sse.ParseID(id)
			if err != nil || gotEpoch != epoch || gotPosition != position {
				t.Errorf("ParseID(%q) = %q, %d, %v", id, gotEpoch, gotPosition, err)
			}
		}
	}
}

func FuzzParseID(f *testing.F) {
	for _, id := range []string{"", "-", "a-", "-1", "a-1", "a-01", "a-0", "a-+1", "a--1", "a-1 ", "ä-1", "a-18446744073709551616", "a-b-1"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		epoch, position, err := sse.ParseID(id)
		if err == nil && sse.FormatID(epoch, position) != id {
			t.Errorf("ParseID(%q) = %q, %d, which is another ID", id, epoch, position)
		}
		if err != nil && !errors.Is(err, sse.ErrLastIDUnknown) {
			t.Errorf("ParseID(%q) = %v, want ErrLastIDUnknown", id, err)
		}
	})
}

func BenchmarkRingBuffer_Append(b *testing.B) {
	ring := sse.NewRingBuffer(1024)
	record := sse.Record{Event: sse.Event{Data: "0123456789abcdef"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ring.Append(b.Context(), "s", record); err != nil {
			b.Fatal(err)
		}
	}
}
