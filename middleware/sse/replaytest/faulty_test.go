package replaytest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/goceleris/celeris/middleware/sse"
)

// runClause runs a clause and returns what it says against a store.
func runClause(t *testing.T, clause func(t testing.TB)) (said []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		var wg sync.WaitGroup
		wg.Go(func() { clause(r) })
		wg.Wait()
		said = r.failures
	})
	return said
}

var errFailed = errors.New("failed for certain")

// lossy is a store in memory with a fault, one stream, and Faults that work.
type lossy struct {
	fault string

	mu      sync.Mutex // guards all below
	epochs  int
	head    uint64
	records []sse.Record
	late    []sse.Record // what appears later
	rand    *rand.Rand   // not nil while requests are lost
}

func (l *lossy) epoch() string { return fmt.Sprintf("epoch%d", l.epochs) }

func (l *lossy) Open(context.Context, string) (string, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch(), l.head, nil
}

func (l *lossy) Append(_ context.Context, _ string, record sse.Record) (previous, id string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fate := 9
	if l.rand != nil {
		fate = l.rand.IntN(8)
	}
	if fate == 0 && l.fault != "stores what failed" {
		return "", "", errFailed
	}
	if fate == 1 {
		return "", "", sse.ErrOutcomeUnknown
	}
	previous = sse.FormatID(l.epoch(), l.head)
	l.head++
	record.ID = sse.FormatID(l.epoch(), l.head)
	id = record.ID
	switch {
	case fate == 2 && l.fault == "loses what it acknowledged":
	case fate == 2 && l.fault == "stores late":
		l.late = append(l.late, record)
		return "", "", sse.ErrOutcomeUnknown
	default:
		l.records = append(l.records, record)
	}
	if fate == 3 && l.fault == "stores again" {
		l.head++
		record.ID = sse.FormatID(l.epoch(), l.head)
		l.records = append(l.records, record)
	}
	if fate == 4 && l.fault == "acknowledges another ID" {
		id = previous
	}
	if fate == 0 {
		return "", "", errFailed
	}
	if fate == 5 {
		if l.fault == "says that it failed" {
			return "", "", errFailed
		}
		return "", "", sse.ErrOutcomeUnknown
	}
	return previous, id, nil
}

func (l *lossy) Since(_ context.Context, _, lastID string) iter.Seq2[sse.Record, error] {
	return func(yield func(sse.Record, error) bool) {
		l.mu.Lock()
		epoch, position, err := sse.ParseID(lastID)
		unknown := lastID != "" && (err != nil || epoch != l.epoch() || position > l.head)
		records := slices.Clone(l.records)
		l.records = append(l.records, l.late...)
		l.late = nil
		slices.SortFunc(l.records, byPosition)
		l.mu.Unlock()
		if unknown {
			yield(sse.Record{}, sse.ErrLastIDUnknown)
			return
		}
		for _, record := range records {
			if _, p, _ := sse.ParseID(record.ID); p > position && !yield(record, nil) {
				return
			}
		}
	}
}

func byPosition(a, b sse.Record) int {
	_, p, _ := sse.ParseID(a.ID)
	_, q, _ := sse.ParseID(b.ID)
	return int(p) - int(q)
}

func (l *lossy) faults() Faults {
	return Faults{
		Lose: func(on bool) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.rand = nil
			if on {
				l.rand = rand.New(rand.NewPCG(3, 4))
			}
		},
		Rewind: func() func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			head, records := l.head, slices.Clone(l.records)
			return func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				switch l.fault {
				case "uses IDs again":
					l.head, l.records = head, records
				case "goes on beyond what was lost":
					l.records = records
				case "forgets what comes then":
					l.epochs++
					l.head, l.records = 0, nil
					l.fault, l.rand = "loses what it acknowledged", rand.New(rand.NewPCG(5, 6))
				default:
					l.epochs++
					l.head, l.records = 0, nil
				}
			}
		},
	}
}

func TestChecks_CatchFaults(t *testing.T) {
	clauses := map[string]func(t testing.TB, store sse.ReplayStore, faults Faults, stream string){
		"LostAnswers":   checkLostAnswers,
		"HeadMovesBack": checkRewind,
	}
	for fault, clause := range map[string]string{
		"":                             "",
		"goes on beyond what was lost": "", // as positions do that come from a clock
		"stores what failed":           "LostAnswers",
		"loses what it acknowledged":   "LostAnswers",
		"stores late":                  "LostAnswers",
		"stores again":                 "LostAnswers",
		"acknowledges another ID":      "LostAnswers",
		"says that it failed":          "LostAnswers",
		"uses IDs again":               "HeadMovesBack",
		"forgets what comes then":      "HeadMovesBack",
	} {
		for name, check := range clauses {
			said := runClause(t, func(t testing.TB) {
				l := &lossy{fault: fault}
				check(t, l, l.faults(), "s")
			})
			if got := len(said) > 0; got != (name == clause) {
				t.Errorf("fault %q: %s fails: %t, want %t: %q", fault, name, got, name == clause, said)
			}
		}
	}
}

// half is a store of several that don't quite share what they keep.
type half struct {
	*rotating
	own   *rotating
	fault string
}

func (h half) Open(ctx context.Context, stream string) (string, uint64, error) {
	if h.fault == "has an epoch of its own" {
		return h.own.Open(ctx, stream)
	}
	return h.rotating.Open(ctx, stream)
}

func (h half) Append(ctx context.Context, stream string, record sse.Record) (string, string, error) {
	previous, id, err := h.rotating.Append(ctx, stream, record)
	if _, _, ownErr := h.own.Append(ctx, stream, record); err == nil {
		err = ownErr
	}
	return previous, id, err
}

func (h half) Since(ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
	if h.fault != "reads what it has appended itself" {
		return h.rotating.Since(ctx, stream, lastID)
	}
	// An index in memory: what this store has appended, with the IDs of all.
	return func(yield func(sse.Record, error) bool) {
		mine := map[string]bool{}
		for record := range h.own.Since(ctx, stream, "") {
			mine[record.Event.Data] = true
		}
		for record, err := range h.rotating.Since(ctx, stream, lastID) {
			if (err != nil || mine[record.Event.Data]) && !yield(record, err) {
				return
			}
		}
	}
}

func (h half) Follow(ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
	if h.fault == "follows itself" {
		return h.own.RingBuffer.Follow(ctx, h.own.name(stream), "")
	}
	return h.RingBuffer.Follow(ctx, h.name(stream), lastID)
}

func newRotating() *rotating {
	return &rotating{RingBuffer: sse.NewRingBuffer(kept), rename: map[string]int{}}
}

func TestChecks_CatchHalfViews(t *testing.T) {
	for fault, clause := range map[string]string{
		"":                                  "",
		"has an epoch of its own":           "OpeningAtOnceAgrees",
		"reads what it has appended itself": "TwoWritersMakeOneChain",
		"follows itself":                    "FollowersSeeTheOthersAppends",
		"rotates for itself":                "RotatingAtOnceAgrees",
	} {
		caught := clause == ""
		for _, c := range sharedChecks {
			said := runClause(t, func(t testing.TB) {
				shared := newRotating()
				shared.blind = fault == "rotates for itself"
				c.run(t, func() sse.ReplayStore { return half{shared, newRotating(), fault} }, streamName())
			})
			if len(said) > 0 && clause == "" {
				t.Errorf("%s fails on stores that share all: %q", c.name, said)
			}
			caught = caught || len(said) > 0 && c.name == clause
		}
		if !caught {
			t.Errorf("%s doesn't catch a store that %s", clause, fault)
		}
	}
}

// lease is a store that is no Follower, on a stream that may belong to another.
type lease struct {
	sse.ReplayStore
	owner *string
	name  string
	fault string
}

func (l lease) take() error {
	if l.fault != "shares" && *l.owner == "" {
		*l.owner = l.name
	}
	if *l.owner != l.name && l.fault != "shares" {
		return sse.ErrStreamInUse
	}
	return nil
}

func (l lease) Open(ctx context.Context, stream string) (string, uint64, error) {
	if err := l.take(); err != nil {
		return "", 0, err
	}
	return l.ReplayStore.Open(ctx, stream)
}

func (l lease) Append(ctx context.Context, stream string, record sse.Record) (string, string, error) {
	if err := l.take(); err != nil && l.fault != "appends without" {
		return "", "", err
	}
	return l.ReplayStore.Append(ctx, stream, record)
}

func (l lease) Since(ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
	if l.fault == "reads half" && *l.owner != l.name {
		return edit(l.ReplayStore.Since(ctx, stream, lastID), func(n int, r sse.Record) []sse.Record {
			return []sse.Record{r}[:n%2]
		})
	}
	return l.ReplayStore.Since(ctx, stream, lastID)
}

func (l lease) Close(context.Context) error {
	if l.fault != "keeps it" {
		*l.owner = ""
	}
	return nil
}

func TestChecks_CatchLeasesThatDoNotHold(t *testing.T) {
	for fault, want := range map[string]bool{"": false, "shares": true, "appends without": true, "reads half": true, "keeps it": true} {
		said := runClause(t, func(t testing.TB) {
			ring, owner, opened := sse.NewRingBuffer(0), "", 0
			checkExclusive(t, func() sse.ReplayStore {
				opened++
				return lease{struct{ sse.ReplayStore }{ring}, &owner, fmt.Sprint(opened), fault}
			}, streamName())
		})
		if got := len(said) > 0; got != want {
			t.Errorf("fault %q: fails: %t, want %t: %q", fault, got, want, said)
		}
	}
}

func TestUnreliable_LosesAndShuffles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Unreliable(sse.NewRingBuffer(kept), 1).(*unreliable)
		s.calm = true
		checkLostAnswers(t, s, Faults{Lose: func(on bool) { s.calm = !on }}, streamName())
	})
	synctest.Test(t, func(t *testing.T) {
		s := Unreliable(sse.NewRingBuffer(kept), 1)
		var mu sync.Mutex
		var ids []string
		unknown := 0
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				_, id, err := s.Append(t.Context(), "s", sse.Record{Event: event(n)})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					ids = append(ids, id)
				} else {
					unknown++
				}
			})
		}
		wg.Wait()
		sorted := slices.IsSortedFunc(ids, func(a, b string) int { return byPosition(sse.Record{ID: a}, sse.Record{ID: b}) })
		stored, err := collect(t, s.Since(t.Context(), "s", ""))
		if err != nil || sorted || unknown == 0 || len(stored) <= len(ids) || len(stored) == 100 {
			t.Errorf("in order: %t, unknown: %d, stored %d of 100, acknowledged %d, %v", sorted, unknown, len(stored), len(ids), err)
		}
	})
}
