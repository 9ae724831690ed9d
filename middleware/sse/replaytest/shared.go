package replaytest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/goceleris/celeris/middleware/sse"
)

// sharedCheck is one clause about stores that keep their streams in one place.
type sharedCheck struct {
	name string
	run  func(t testing.TB, open func() sse.ReplayStore, stream string)
}

// sharedChecks are the clauses about stores that can be followed.
var sharedChecks = []sharedCheck{
	{"OpeningAtOnceAgrees", checkSharedOpen},
	{"TwoWritersMakeOneChain", checkSharedWriters},
	{"EachReadsWhatTheOtherAppends", checkSharedReads},
	{"FollowersSeeTheOthersAppends", checkSharedFollow},
	{"RotatingAtOnceAgrees", checkSharedRotate},
}

// RunShared checks what happens when several processes use the same streams. In each subtest it calls open once;
// what that returns opens one more store on the same streams each time, as another process would. Stores that can be
// followed share a stream; of others one owns it, until its Close method with a context as parameter is called.
func RunShared(t *testing.T, open func(t *testing.T) (again func() sse.ReplayStore)) {
	t.Helper()
	runShared(t, plain, open)
}

func runShared(t *testing.T, in where, open func(t *testing.T) (again func() sse.ReplayStore)) {
	t.Helper()
	follower := false
	t.Run("Opens", func(t *testing.T) {
		in(t, func(t *testing.T) { _, follower = open(t)().(sse.Follower) })
	})
	if !follower {
		t.Run("OneStoreOwnsAStream", func(t *testing.T) {
			in(t, func(t *testing.T) { checkExclusive(t, open(t), streamName()) })
		})
		return
	}
	for _, c := range sharedChecks {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(t *testing.T) { c.run(t, open(t), streamName()) })
		})
	}
}

func checkSharedOpen(t testing.TB, open func() sse.ReplayStore, stream string) {
	const stores = 6
	epochs := make([]string, stores)
	var wg sync.WaitGroup
	for i := range stores {
		store := open()
		wg.Go(func() {
			epoch, head, err := store.Open(t.Context(), stream)
			if err != nil || head != 0 {
				t.Errorf("Open = head %d, %v, want 0", head, err)
			}
			epochs[i] = epoch
		})
	}
	wg.Wait()
	for _, epoch := range epochs {
		if epoch != epochs[0] {
			t.Fatalf("stores that open a stream at once have the epochs %q", epochs)
		}
	}
}

// chain puts records in order by the previous IDs that came with them.
func chain(t testing.TB, start string, next map[string]sse.Record) []sse.Record {
	t.Helper()
	var records []sse.Record
	for last := start; len(records) < len(next); last = records[len(records)-1].ID {
		record, ok := next[last]
		if !ok {
			t.Fatalf("the chain of previous IDs ends at %q after %d records, want %d", last, len(records), len(next))
		}
		records = append(records, record)
	}
	return records
}

func checkSharedWriters(t testing.TB, open func() sse.ReplayStore, stream string) {
	const writers, each = 3, 25 // per store
	stores := []sse.ReplayStore{open(), open()}
	_, start := mustOpen(t, stores[0], stream)
	var mu sync.Mutex
	next := make(map[string]sse.Record)
	var wg sync.WaitGroup
	for i, store := range stores {
		for w := range writers {
			wg.Go(func() {
				for n := range each {
					record := sse.Record{Event: event(i*10000 + w*1000 + n)}
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
	}
	wg.Wait()
	if len(next) != len(stores)*writers*each {
		t.Fatalf("%d records in the chain, want %d", len(next), len(stores)*writers*each)
	}
	records := chain(t, start, next)
	for _, store := range append(stores, open()) {
		wantSince(t, store, stream, start, records)
	}
}

func checkSharedReads(t testing.TB, open func() sse.ReplayStore, stream string) {
	a, b := open(), open()
	_, start := mustOpen(t, a, stream)
	var records []sse.Record
	for n := range 40 {
		writer := a
		if n%3 == 1 {
			writer = b
		}
		previous, record := mustAppend(t, writer, stream, sse.Record{Event: event(n), Topics: []string{"t"}})
		if want := lastID(start, records); previous != want {
			t.Errorf("append %d: previous = %q, want %q", n, previous, want)
		}
		records = append(records, record)
		for _, store := range []sse.ReplayStore{a, b} {
			if _, head := mustOpen(t, store, stream); head != record.ID {
				t.Errorf("head after append %d = %q, want %q", n, head, record.ID)
			}
		}
	}
	c := open()
	for _, store := range []sse.ReplayStore{a, b, c} {
		wantSince(t, store, stream, start, records)
		for i, record := range records {
			wantSince(t, store, stream, record.ID, records[i+1:])
		}
	}
}

// lastID returns the ID of the last record, or start.
func lastID(start string, records []sse.Record) string {
	if len(records) == 0 {
		return start
	}
	return records[len(records)-1].ID
}

func checkSharedFollow(t testing.TB, open func() sse.ReplayStore, stream string) {
	const total = 40
	a, b := open(), open()
	f := b.(sse.Follower)
	_, start := mustOpen(t, a, stream)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	// What a store appends when a follower has seen all before reaches it at the head.
	want := fill(t, a, stream, 1)
	var got []sse.Record
	for record, err := range f.Follow(ctx, stream, start) {
		if err != nil {
			t.Fatalf("Follow: %v after %d records", err, len(got))
		}
		if got = append(got, record); len(got) == total {
			break
		}
		writer := a
		if len(got)%4 == 3 {
			writer = b
		}
		_, record := mustAppend(t, writer, stream, sse.Record{Event: event(len(got))})
		want = append(want, record)
	}
	wantRecords(t, "Follow of what two stores append", got, want)
}

func checkSharedRotate(t testing.TB, open func() sse.ReplayStore, stream string) {
	stores := []sse.ReplayStore{open(), open(), open()}
	if _, ok := stores[0].(sse.Rotator); !ok {
		t.Skip("not a Rotator")
	}
	records := fill(t, stores[0], stream, 3)
	old, _ := mustOpen(t, stores[0], stream)
	for _, store := range stores {
		wantSince(t, store, stream, records[0].ID, records[1:])
	}
	epochs := make([]string, len(stores))
	var wg sync.WaitGroup
	for i, store := range stores[1:] {
		wg.Go(func() {
			var err error
			if epochs[i], err = store.(sse.Rotator).Rotate(t.Context(), stream, old); err != nil {
				t.Errorf("Rotate: %v", err)
			}
		})
	}
	wg.Wait()
	if epochs[0] == old || epochs[1] != epochs[0] {
		t.Fatalf("rotating %q at once gives the epochs %q", old, epochs[:2])
	}
	// The store that has not rotated goes along, with appending first.
	_, record := mustAppend(t, stores[0], stream, sse.Record{Event: event(100)})
	for _, store := range stores {
		for _, r := range records {
			wantUnknown(t, store, stream, r.ID)
		}
		wantSince(t, store, stream, sse.FormatID(epochs[0], 0), []sse.Record{record})
	}
	// That an epoch was rotated long ago is known to all.
	for _, store := range stores {
		if epoch, err := store.(sse.Rotator).Rotate(t.Context(), stream, old); err != nil || epoch != epochs[0] {
			t.Errorf("Rotate(%q) again = %q, %v, want %q", old, epoch, err, epochs[0])
		}
	}
}

func checkExclusive(t testing.TB, open func() sse.ReplayStore, stream string) {
	a, b := open(), open()
	records := fill(t, a, stream, 20)
	refused := func(store sse.ReplayStore) {
		t.Helper()
		if epoch, head, err := store.Open(t.Context(), stream); !errors.Is(err, sse.ErrStreamInUse) {
			t.Errorf("Open of another's stream = %q, %d, %v, want ErrStreamInUse", epoch, head, err)
		}
		if _, id, err := store.Append(t.Context(), stream, sse.Record{Event: event(0)}); !errors.Is(err, sse.ErrStreamInUse) {
			t.Errorf("Append to another's stream = %q, %v, want ErrStreamInUse", id, err)
		}
		// To read it is either refused, or complete.
		if got, err := since(t.Context(), t, store, stream, records[4].ID); !errors.Is(err, sse.ErrStreamInUse) {
			if err != nil {
				t.Errorf("Since in another's stream: %v, want its records or ErrStreamInUse", err)
			}
			wantRecords(t, "Since in another's stream", got, records[5:])
		}
	}
	refused(b)
	_, record := mustAppend(t, a, stream, sse.Record{Event: event(20)})
	records = append(records, record)
	closer, ok := a.(interface{ Close(context.Context) error })
	if !ok {
		t.Skipf("%T has no Close: that another store goes on from there is not checked", a)
	}
	if err := closer.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if _, last := mustOpen(t, b, stream); less(t, last, records[20].ID) {
		t.Errorf("head of a stream that was taken over = %q, want %q or more", last, records[20].ID)
	}
	for i, record := range records {
		wantSince(t, b, stream, record.ID, records[i+1:])
	}
	_, record = mustAppend(t, b, stream, sse.Record{Event: event(21)})
	records = append(records, record)
	wantSince(t, b, stream, records[0].ID, records[1:])
	refused(open())
}

// less reports whether a comes before b in their epoch.
func less(t testing.TB, a, b string) bool {
	t.Helper()
	epoch, p := parse(t, a)
	other, q := parse(t, b)
	if epoch != other {
		t.Errorf("epoch = %q, want %q", epoch, other)
	}
	return p < q
}
