// Package replaytest is the executable contract of [sse.ReplayStore]: every
// implementation calls [Run] from a test of its own, [RunShared] if its streams
// outlive the process, and [RunFaults] if something can go wrong on the way to
// where they are kept.
//
//	func TestStore(t *testing.T) {
//		replaytest.Run(t, func(t *testing.T) sse.ReplayStore { return open(t) })
//	}
//
// The store under test has to keep at least 256 records of a stream, and should
// keep fewer than 4096: otherwise what happens behind the end of retention is
// skipped, and said so. Streams are named at random, so a test may use a
// database in which other streams live.
package replaytest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

const (
	// kept is how many records a store has to keep of a stream.
	kept = 256

	// endless is how many records a store may keep before the trimming test
	// gives up.
	endless = 4096

	// patience bounds every wait for something that has to happen.
	patience = 10 * time.Second
)

// check is one clause of the contract. It ends the test with Fatal where going
// on makes no sense.
type check struct {
	name string
	run  func(t testing.TB, store sse.ReplayStore, stream string)
}

// checks are the clauses. Those about optional abilities skip themselves.
var checks = []check{
	{"OpenIsIdempotent", checkOpen},
	{"AppendChains", checkChain},
	{"RecordsComeBackWhole", checkWhole},
	{"ExactSuffixAtEveryPosition", checkSuffix},
	{"TrimmedIsUnknown", checkTrimmed},
	{"TrimmedUnderAReader", checkTrimUnderReader},
	{"ForeignIDsAreUnknown", checkForeign},
	{"StreamsAreSeparate", checkSeparate},
	{"IDsAreReserved", checkReserved},
	{"ConcurrentAppendsMakeOneChain", checkConcurrent},
	{"ReadersKeepUpWithAppends", checkReadWhileAppending},
	{"EndedContexts", checkContexts},
	{"NothingIsShared", checkNotShared},
	{"LeavingTheLoop", checkLeave},
	{"FollowContinues", checkFollow},
	{"FollowMeetsConcurrentAppends", checkFollowConcurrent},
	{"FollowRefusesUnknownIDs", checkFollowUnknown},
	{"RotateStartsAnew", checkRotate},
}

// Run checks that the stores which open returns keep the contract, each clause
// in a subtest with a store of its own. Open registers what closes the store
// with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) sse.ReplayStore) {
	t.Helper()
	run(t, plain, open)
}

// Bubbles are the same checks with each clause in a bubble of [synctest], where time passes only when nothing else
// happens: for stores that wait for timers and have nothing outside of the process. The zero value works.
type Bubbles struct{}

// Run is [Run] in bubbles.
func (Bubbles) Run(t *testing.T, open func(t *testing.T) sse.ReplayStore) {
	t.Helper()
	run(t, synctest.Test, open)
}

// RunShared is [RunShared] in bubbles.
func (Bubbles) RunShared(t *testing.T, open func(t *testing.T) (again func() sse.ReplayStore)) {
	t.Helper()
	runShared(t, synctest.Test, open)
}

// RunFaults is [RunFaults] in bubbles.
func (Bubbles) RunFaults(t *testing.T, open func(t *testing.T) (sse.ReplayStore, Faults)) {
	t.Helper()
	runFaults(t, synctest.Test, open)
}

// where runs a clause.
type where func(t *testing.T, f func(t *testing.T))

func plain(t *testing.T, f func(t *testing.T)) { f(t) }

func run(t *testing.T, in where, open func(t *testing.T) sse.ReplayStore) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(t *testing.T) { c.run(t, open(t), streamName()) })
		})
	}
}

// streamName returns a name that no other test uses.
func streamName() string { return "replaytest-" + rand.Text() }

// event returns a distinct event.
func event(n int) sse.Event {
	return sse.Event{
		Event: fmt.Sprintf("type-%d", n%3),
		Data:  fmt.Sprintf("event %d", n),
		Key:   fmt.Sprintf("key-%d", n%5),
	}
}

// mustOpen returns the epoch and the ID of the head.
func mustOpen(t testing.TB, store sse.ReplayStore, stream string) (epoch, head string) {
	t.Helper()
	epoch, position, err := store.Open(t.Context(), stream)
	if err != nil {
		t.Fatalf("Open(%q): %v", stream, err)
	}
	return epoch, sse.FormatID(epoch, position)
}

// mustAppend appends and returns the record as it has to come back.
func mustAppend(t testing.TB, store sse.ReplayStore, stream string, record sse.Record) (previous string, stored sse.Record) {
	t.Helper()
	previous, id, err := store.Append(t.Context(), stream, record)
	if err != nil {
		t.Fatalf("Append(%q, %v): %v", stream, record, err)
	}
	record.ID = id
	return previous, record
}

// fill appends n distinct records.
func fill(t testing.TB, store sse.ReplayStore, stream string, n int) []sse.Record {
	t.Helper()
	records := make([]sse.Record, n)
	for i := range records {
		_, records[i] = mustAppend(t, store, stream, sse.Record{
			Event:  event(i),
			Topics: []string{"all", fmt.Sprintf("topic-%d", i%4)},
		})
	}
	return records
}

// since collects what Since yields, and checks the shape of the sequence: an
// error is the last thing and brings no record.
func since(ctx context.Context, t testing.TB, store sse.ReplayStore, stream, lastID string) ([]sse.Record, error) {
	t.Helper()
	return collect(t, store.Since(ctx, stream, lastID))
}

func collect(t testing.TB, seq iter.Seq2[sse.Record, error]) (records []sse.Record, err error) {
	t.Helper()
	for record, e := range seq {
		if err != nil {
			t.Fatalf("sequence went on after the error %v", err)
		}
		if e != nil {
			err = e
			continue
		}
		records = append(records, record)
	}
	return records, err
}

// wantUnknown checks that nothing at all is served for lastID.
func wantUnknown(t testing.TB, store sse.ReplayStore, stream, lastID string) {
	t.Helper()
	records, err := since(t.Context(), t, store, stream, lastID)
	if !errors.Is(err, sse.ErrLastIDUnknown) || len(records) > 0 {
		t.Errorf("Since(%q) = %d records and %v, want none and ErrLastIDUnknown", lastID, len(records), err)
	}
}

// wantSince checks that Since returns exactly the records.
func wantSince(t testing.TB, store sse.ReplayStore, stream, lastID string, want []sse.Record) {
	t.Helper()
	got, err := since(t.Context(), t, store, stream, lastID)
	if err != nil {
		t.Errorf("Since(%q): %v after %d records, want %d records", lastID, err, len(got), len(want))
		return
	}
	wantRecords(t, fmt.Sprintf("Since(%q)", lastID), got, want)
}

// wantRecords reports the first difference.
func wantRecords(t testing.TB, what string, got, want []sse.Record) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if !equal(got[i], want[i]) {
			t.Errorf("%s: record %d of %d is %s, want %s", what, i, len(want), brief(got[i]), brief(want[i]))
			return
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s = %d records, want %d", what, len(got), len(want))
	}
}

// equal compares two records; no topics and nil are the same.
func equal(a, b sse.Record) bool {
	if a.Hole && b.Hole {
		return a.ID == b.ID
	}
	return a.ID == b.ID && a.Event == b.Event && a.Hole == b.Hole && slices.Equal(a.Topics, b.Topics)
}

// brief prints a record, and no more than the beginning of long data.
func brief(r sse.Record) string {
	return fmt.Sprintf("{%s event=%q data=%.80q key=%q retry=%v topics=%q hole=%t}",
		r.ID, r.Event.Event, r.Event.Data, r.Event.Key, r.Event.Retry, r.Topics, r.Hole)
}

// parse splits an ID that the store made.
func parse(t testing.TB, id string) (epoch string, position uint64) {
	t.Helper()
	epoch, position, err := sse.ParseID(id)
	if err != nil {
		t.Fatalf("the store made the ID %q, which is not <epoch>-<position>", id)
	}
	return epoch, position
}
