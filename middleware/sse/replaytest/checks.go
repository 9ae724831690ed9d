package replaytest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

func checkOpen(t testing.TB, store sse.ReplayStore, stream string) {
	epoch, head, err := store.Open(t.Context(), stream)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if head != 0 {
		t.Errorf("head of a new stream = %d, want 0", head)
	}
	if _, _, err := sse.ParseID(sse.FormatID(epoch, head)); err != nil {
		t.Errorf("epoch %q can't be part of an ID", epoch)
	}
	if again, _ := mustOpen(t, store, stream); again != epoch {
		t.Errorf("epoch after opening twice = %q, want %q", again, epoch)
	}
	wantSince(t, store, stream, "", nil)
	wantSince(t, store, stream, sse.FormatID(epoch, 0), nil)

	records := fill(t, store, stream, 3)
	if _, got := mustOpen(t, store, stream); got != records[2].ID {
		t.Errorf("Open after three appends: head is %q, want %q", got, records[2].ID)
	}
	wantSince(t, store, stream, "", records)
}

func checkChain(t testing.TB, store sse.ReplayStore, stream string) {
	epoch, last := mustOpen(t, store, stream)
	for n := range 20 {
		previous, record := mustAppend(t, store, stream, sse.Record{Event: event(n)})
		if previous != last {
			t.Errorf("append %d: previous = %q, want %q", n, previous, last)
		}
		gotEpoch, position := parse(t, record.ID)
		_, before := parse(t, last)
		if gotEpoch != epoch || position <= before {
			t.Errorf("append %d: id %q doesn't follow %q", n, record.ID, last)
		}
		last = record.ID
	}

	// A stream need not have been opened.
	previous, record := mustAppend(t, store, stream+"-unopened", sse.Record{Event: event(0)})
	if _, position := parse(t, previous); position != 0 {
		t.Errorf("previous of a stream's first record = %q, want position 0", previous)
	}
	wantSince(t, store, stream+"-unopened", previous, []sse.Record{record})
}

func checkWhole(t testing.TB, store sse.ReplayStore, stream string) {
	_, start := mustOpen(t, store, stream)
	var want []sse.Record
	for _, record := range []sse.Record{
		{},
		{Event: sse.Event{Data: "one\ntwo\r\nthree\r"}, Topics: []string{"a"}},
		{Event: sse.Event{Data: " leading, trailing \x00 \uFEFF \U0001F600\n"}, Topics: []string{"b", "a", "b"}},
		{Event: sse.Event{Event: " type: ", Key: "key\nwith line", Data: `{"a":"<&>\u2028"}`}, Topics: []string{"", "t: \"ü\""}},
		{Event: sse.Event{Data: strings.Repeat("0123456789abcdef", 4096)}},
		{Event: sse.Event{Retry: 1500 * time.Millisecond}, Topics: []string{"retry"}},
		{Hole: true},
		{Event: sse.Event{Data: "behind the hole"}},
	} {
		_, record = mustAppend(t, store, stream, record)
		want = append(want, record)
	}
	wantSince(t, store, stream, start, want)
	wantSince(t, store, stream, "", want)
}

func checkSuffix(t testing.TB, store sse.ReplayStore, stream string) {
	_, start := mustOpen(t, store, stream)
	records := fill(t, store, stream, 100)
	wantSince(t, store, stream, start, records)
	for i, record := range records {
		wantSince(t, store, stream, record.ID, records[i+1:])
	}
}

func checkTrimmed(t testing.TB, store sse.ReplayStore, stream string) {
	_, start := mustOpen(t, store, stream)
	records := fill(t, store, stream, kept)
	wantSince(t, store, stream, start, records)
	for {
		records = append(records, fill(t, store, stream, kept)...)
		all, err := since(t.Context(), t, store, stream, "")
		if err != nil {
			t.Fatalf("Since(\"\"): %v", err)
		}
		if len(all) < kept || len(all) > len(records) {
			t.Fatalf("of %d records %d are kept, want at least %d", len(records), len(all), kept)
		}
		wantRecords(t, "Since(\"\")", all, records[len(records)-len(all):])
		if len(all) < len(records) {
			break
		}
		if len(records) >= endless {
			t.Skipf("the store keeps %d records: open it with a smaller limit to check trimming", endless)
		}
	}

	// From some position on all are answered in full, up to there none is.
	wantUnknown(t, store, stream, start)
	known := false
	for i, record := range records {
		got, err := since(t.Context(), t, store, stream, record.ID)
		switch {
		case err == nil:
			known = true
			wantRecords(t, fmt.Sprintf("Since(%q)", record.ID), got, records[i+1:])
		case !errors.Is(err, sse.ErrLastIDUnknown) || len(got) > 0:
			t.Errorf("Since(%q) = %d records and %v, want none and ErrLastIDUnknown", record.ID, len(got), err)
		case known:
			t.Errorf("Since(%q) is unknown, though an older position is not", record.ID)
		case i >= len(records)-kept:
			t.Errorf("Since(%q) is unknown with %d records behind it, fewer than %d", record.ID, len(records)-1-i, kept)
		}
	}
	if _, head := mustOpen(t, store, stream); head != records[len(records)-1].ID {
		t.Errorf("head of a trimmed stream = %q, want %q", head, records[len(records)-1].ID)
	}
}

// checkTrimUnderReader leaves readers behind in their loops until what they were about to read is trimmed.
func checkTrimUnderReader(t testing.TB, store sse.ReplayStore, stream string) {
	_, start := mustOpen(t, store, stream)
	records := fill(t, store, stream, kept)
	for i := range 4 {
		from := [...]string{start, "", records[0].ID, records[kept/2].ID}[i]
		var got []sse.Record
		var last error
		trimmed := false
		begin := len(records)
		for record, err := range store.Since(t.Context(), stream, from) {
			if err != nil {
				last = err
				continue
			}
			if last != nil {
				t.Fatalf("Since(%q) went on after the error %v", from, last)
			}
			got = append(got, record)
			for n := 0; !trimmed && len(records) < begin+endless; n++ {
				records = append(records, fill(t, store, stream, kept)...)
				_, err := since(t.Context(), t, store, stream, got[0].ID)
				trimmed = errors.Is(err, sse.ErrLastIDUnknown)
			}
			if !trimmed {
				t.Skipf("the store keeps %d records: open it with a smaller limit to check trimming", endless)
			}
		}
		// What it yields has no gap; it ends with an error, or reaches the head of its beginning.
		at := slices.IndexFunc(records, func(r sse.Record) bool { return len(got) > 0 && r.ID == got[0].ID })
		if at < 0 {
			t.Fatalf("Since(%q) yields %d records, the first of which was not appended", from, len(got))
		}
		if i := slices.IndexFunc(records, func(r sse.Record) bool { return r.ID == from }); i >= 0 && at != i+1 || from == start && at != 0 {
			t.Errorf("Since(%q) begins with record %d", from, at)
		}
		wantRecords(t, fmt.Sprintf("Since(%q) during trimming", from), got, records[at:min(at+len(got), len(records))])
		switch {
		case last == nil && at+len(got) < begin:
			t.Errorf("Since(%q) ends without an error after %d records, want %d at least", from, len(got), begin-at)
		case last != nil && !errors.Is(last, sse.ErrLastIDUnknown):
			t.Errorf("Since(%q) = %v when it is trimmed, want ErrLastIDUnknown", from, last)
		}
		all, err := since(t.Context(), t, store, stream, "")
		if err != nil || len(all) < kept {
			t.Fatalf("Since(\"\") = %d records, %v", len(all), err)
		}
		records = all
	}
}

func checkForeign(t testing.TB, store sse.ReplayStore, stream string) {
	_, other := mustAppend(t, store, stream+"-other", sse.Record{Event: event(0)})
	records := fill(t, store, stream, 10)
	for _, id := range strangeIDs(t, records[9].ID) {
		wantUnknown(t, store, stream, id)
	}
	wantUnknown(t, store, stream, other.ID)
	wantUnknown(t, store, stream+"-nonexistent", records[0].ID)
}

// strangeIDs returns IDs that were never a position of head's stream.
func strangeIDs(t testing.TB, head string) []string {
	t.Helper()
	epoch, position := parse(t, head)
	number := strings.TrimPrefix(head, epoch)[1:]
	return []string{
		sse.FormatID(epoch, position+1),
		sse.FormatID(epoch, position+1_000_000),
		sse.FormatID(epoch, math.MaxUint64),
		sse.FormatID("x"+epoch[:len(epoch)-1], position),
		sse.FormatID(epoch+"x", position),
		sse.FormatID("otherepoch", 1),
		sse.FormatID("otherepoch", 0),
		epoch + "-18446744073709551616",
		epoch + "-0" + number,
		epoch + "-+" + number,
		epoch + "--" + number,
		epoch + "-" + number + " ",
		" " + head,
		head + "\n",
		epoch + "-0x1",
		epoch + "-",
		epoch,
		"-" + number,
		number,
		"-", " ", "*", "$", "0-0", "\x00", "\xff", "%", strings.Repeat("9", 5000),
	}
}

func checkSeparate(t testing.TB, store sse.ReplayStore, stream string) {
	// Names that a store's own naming could mix up.
	names := []string{stream, stream + "-1", stream + ":1", stream + "/1", stream + "*", stream + "%", stream + " ", stream + "é"}
	want := make(map[string][]sse.Record)
	epochs := make(map[string]string)
	for _, name := range names {
		epoch, _ := mustOpen(t, store, name)
		if twin, ok := epochs[epoch]; ok {
			t.Errorf("streams %q and %q share the epoch %q", twin, name, epoch)
		}
		epochs[epoch] = name
	}
	for round := range 5 {
		for i, name := range names {
			_, record := mustAppend(t, store, name, sse.Record{Event: event(round*100 + i)})
			want[name] = append(want[name], record)
		}
	}
	for _, name := range names {
		wantSince(t, store, name, "", want[name])
		wantSince(t, store, name, want[name][0].ID, want[name][1:])
	}
}

func checkReserved(t testing.TB, store sse.ReplayStore, stream string) {
	epoch, start := mustOpen(t, store, stream)
	for _, record := range []sse.Record{
		{ID: sse.FormatID(epoch, 1)},
		{Event: sse.Event{ID: "mine"}},
	} {
		if _, _, err := store.Append(t.Context(), stream, record); !errors.Is(err, sse.ErrIDReserved) {
			t.Errorf("Append(%+v) = %v, want ErrIDReserved", record, err)
		}
	}
	wantSince(t, store, stream, start, nil)
}

func checkConcurrent(t testing.TB, store sse.ReplayStore, stream string) {
	const writers, each = 8, 25
	_, start := mustOpen(t, store, stream)
	next := make(map[string]sse.Record) // by previous
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				record := sse.Record{Event: event(w*1000 + n)}
				previous, id, err := store.Append(t.Context(), stream, record)
				if err != nil {
					t.Errorf("Append: %v", err)
					return
				}
				record.ID = id
				mu.Lock()
				if twin, ok := next[previous]; ok {
					t.Errorf("%q and %q have the same previous %q", twin.ID, id, previous)
				}
				next[previous] = record
				mu.Unlock()
			}
		})
	}
	wg.Wait()

	var chain []sse.Record
	for last := start; len(chain) < writers*each; {
		record, ok := next[last]
		if !ok {
			t.Fatalf("the chain of previous IDs ends at %q after %d records, want %d", last, len(chain), writers*each)
		}
		chain = append(chain, record)
		_, before := parse(t, last)
		if _, position := parse(t, record.ID); position <= before {
			t.Fatalf("%q follows %q in the chain", record.ID, last)
		}
		last = record.ID
	}
	wantSince(t, store, stream, start, chain)

	// What one goroutine appends in turn stays in turn.
	seen := make(map[int]int)
	for _, record := range chain {
		var number int
		if _, err := fmt.Sscanf(record.Event.Data, "event %d", &number); err != nil {
			t.Fatalf("unexpected data %q", record.Event.Data)
		}
		if want := seen[number/1000]; number%1000 != want {
			t.Fatalf("event %d of writer %d comes in place of its event %d", number%1000, number/1000, want)
		}
		seen[number/1000]++
	}
}

func checkReadWhileAppending(t testing.TB, store sse.ReplayStore, stream string) {
	const total = 150
	_, start := mustOpen(t, store, stream)
	var want []sse.Record // the writer's until done is closed
	done := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		defer close(done)
		for n := range total {
			record := sse.Record{Event: event(n)}
			_, id, err := store.Append(t.Context(), stream, record)
			if err != nil {
				t.Errorf("Append: %v", err)
				return
			}
			record.ID = id
			want = append(want, record)
		}
	})
	var got []sse.Record
	last := start
	for finished := false; ; {
		records, err := since(t.Context(), t, store, stream, last)
		if err != nil {
			t.Errorf("Since(%q) while appending: %v", last, err)
			return
		}
		got = append(got, records...)
		if len(records) > 0 {
			last = records[len(records)-1].ID
		}
		if finished {
			break // this was the read behind the last append
		}
		select {
		case <-done:
			finished = true
		default:
		}
	}
	wantRecords(t, "reading piece by piece", got, want)
}

func checkContexts(t testing.TB, store sse.ReplayStore, stream string) {
	records := fill(t, store, stream, 5)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := store.Open(ctx, stream); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with an ended context = %v, want context.Canceled", err)
	}
	if _, _, err := store.Append(ctx, stream, sse.Record{Event: event(9)}); !errors.Is(err, context.Canceled) {
		t.Errorf("Append with an ended context = %v, want context.Canceled", err)
	}
	if got, err := since(ctx, t, store, stream, records[0].ID); !errors.Is(err, context.Canceled) || len(got) > 0 {
		t.Errorf("Since with an ended context = %d records and %v, want none and context.Canceled", len(got), err)
	}
	wantSince(t, store, stream, "", records)
}

func checkNotShared(t testing.TB, store sse.ReplayStore, stream string) {
	topics := []string{"a", "b"}
	_, first := mustAppend(t, store, stream, sse.Record{Event: event(0), Topics: topics})
	topics[0] = "changed by the writer"
	first.Topics = []string{"a", "b"}
	wantSince(t, store, stream, "", []sse.Record{first})

	got, err := since(t.Context(), t, store, stream, "")
	if err != nil || len(got) != 1 || len(got[0].Topics) != 2 {
		t.Fatalf("Since(\"\") = %+v, %v, want one record with two topics", got, err)
	}
	got[0].Topics[1] = "changed by a reader"
	wantSince(t, store, stream, "", []sse.Record{first})
}

func checkLeave(t testing.TB, store sse.ReplayStore, stream string) {
	records := fill(t, store, stream, 200)
	for n := range 10 {
		seen := 0
		for range store.Since(t.Context(), stream, "") { //nolint:errcheck // only the loop counts
			if seen++; seen > n {
				break
			}
		}
		// A reader that is still in its loop doesn't hold up writers.
		for range store.Since(t.Context(), stream, records[0].ID) { //nolint:errcheck // only the loop counts
			_, record := mustAppend(t, store, stream, sse.Record{Event: event(n)})
			records = append(records, record)
			break
		}
	}
	wantSince(t, store, stream, records[100].ID, records[101:])
}
