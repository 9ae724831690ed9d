package replaytest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/goceleris/celeris/middleware/sse"
)

// recorder is a testing.TB that notes failures instead of failing the test.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failures []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skip(...any)          { runtime.Goexit() }
func (r *recorder) Skipf(string, ...any) { runtime.Goexit() }

// failures runs the checks against stores from open until one fails, and
// returns its name and what it said.
func failures(t *testing.T, open func() sse.ReplayStore) (name string, said []string) {
	for _, c := range checks {
		r := &recorder{TB: t}
		var wg sync.WaitGroup
		wg.Go(func() { c.run(r, open(), streamName()) })
		wg.Wait()
		if len(r.failures) > 0 {
			return c.name, r.failures
		}
	}
	return "", nil
}

func TestRun_RingBufferPasses(t *testing.T) {
	Run(t, func(t *testing.T) sse.ReplayStore { return sse.NewRingBuffer(kept) })
}

func TestRun_SkipsTrimmingOfAnEndlessStore(t *testing.T) {
	Run(t, func(t *testing.T) sse.ReplayStore { return sse.NewRingBuffer(2 * endless) })
}

// mutant is a ring with one fault.
type mutant struct {
	*sse.RingBuffer
	append func(ring *sse.RingBuffer, ctx context.Context, stream string, record sse.Record) (string, string, error)
	since  func(ring *sse.RingBuffer, ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error]
	follow func(ring *sse.RingBuffer, ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error]
}

func (m mutant) Append(ctx context.Context, stream string, record sse.Record) (string, string, error) {
	if m.append != nil {
		return m.append(m.RingBuffer, ctx, stream, record)
	}
	return m.RingBuffer.Append(ctx, stream, record)
}

func (m mutant) Since(ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
	if m.since != nil {
		return m.since(m.RingBuffer, ctx, stream, lastID)
	}
	return m.RingBuffer.Since(ctx, stream, lastID)
}

func (m mutant) Follow(ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
	if m.follow != nil {
		return m.follow(m.RingBuffer, ctx, stream, lastID)
	}
	return m.RingBuffer.Follow(ctx, stream, lastID)
}

// edit changes a sequence's records: each becomes those that f returns.
func edit(seq iter.Seq2[sse.Record, error], f func(n int, r sse.Record) []sse.Record) iter.Seq2[sse.Record, error] {
	return func(yield func(sse.Record, error) bool) {
		n := 0
		for record, err := range seq {
			if err != nil {
				yield(record, err)
				return
			}
			for _, r := range f(n, record) {
				if !yield(r, nil) {
					return
				}
			}
			n++
		}
	}
}

// onUnknown answers unknown IDs of Since with what f returns.
func onUnknown(f func(ring *sse.RingBuffer, ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error]) mutant {
	return mutant{since: func(ring *sse.RingBuffer, ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
		for _, err := range ring.Since(ctx, stream, lastID) {
			if err != nil && ctx.Err() == nil {
				return f(ring, ctx, stream, lastID)
			}
			break
		}
		return ring.Since(ctx, stream, lastID)
	}}
}

// editSince changes what Since yields.
func editSince(f func(n int, r sse.Record) []sse.Record) mutant {
	return mutant{since: func(ring *sse.RingBuffer, ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
		return edit(ring.Since(ctx, stream, lastID), f)
	}}
}

// editAppend changes what is stored.
func editAppend(f func(r *sse.Record)) mutant {
	return mutant{append: func(ring *sse.RingBuffer, ctx context.Context, stream string, record sse.Record) (string, string, error) {
		f(&record)
		return ring.Append(ctx, stream, record)
	}}
}

func TestChecks_CatchFaultyStores(t *testing.T) {
	nothing := func(func(sse.Record, error) bool) {}
	tests := map[string]mutant{
		"drops one": editSince(func(n int, r sse.Record) []sse.Record {
			if n == 40 {
				return nil
			}
			return []sse.Record{r}
		}),
		"repeats one": editSince(func(n int, r sse.Record) []sse.Record {
			if n == 40 {
				return []sse.Record{r, r}
			}
			return []sse.Record{r}
		}),
		"begins with the last one seen": {
			since: func(ring *sse.RingBuffer, ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
				epoch, position, err := sse.ParseID(lastID)
				if err == nil && position > 1 {
					if _, head, _ := ring.Open(context.Background(), stream); position <= head {
						lastID = sse.FormatID(epoch, position-1)
					}
				}
				return ring.Since(ctx, stream, lastID)
			},
		},
		"swaps two": {
			since: func(ring *sse.RingBuffer, ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
				var held []sse.Record
				return edit(ring.Since(ctx, stream, lastID), func(n int, r sse.Record) []sse.Record {
					switch n {
					case 3:
						held = []sse.Record{r}
						return nil
					case 4:
						return []sse.Record{r, held[0]}
					}
					return []sse.Record{r}
				})
			},
		},
		"answers unknown IDs with everything": onUnknown(func(ring *sse.RingBuffer, ctx context.Context, stream, _ string) iter.Seq2[sse.Record, error] {
			return ring.Since(ctx, stream, "")
		}),
		"answers unknown IDs with nothing": onUnknown(func(*sse.RingBuffer, context.Context, string, string) iter.Seq2[sse.Record, error] {
			return nothing
		}),
		"answers foreign epochs by position": onUnknown(func(ring *sse.RingBuffer, ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
			epoch, _, err := ring.Open(ctx, stream)
			if _, position, parseErr := sse.ParseID(lastID); err == nil && parseErr == nil {
				lastID = sse.FormatID(epoch, position)
			}
			return ring.Since(ctx, stream, lastID)
		}),
		"answers trimmed positions with the rest": onUnknown(func(ring *sse.RingBuffer, ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
			epoch, head, err := ring.Open(ctx, stream)
			if e, position, parseErr := sse.ParseID(lastID); err == nil && parseErr == nil && e == epoch && position < head {
				return ring.Since(ctx, stream, "")
			}
			return ring.Since(ctx, stream, lastID)
		}),
		"answers the future with nothing": onUnknown(func(ring *sse.RingBuffer, ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
			epoch, head, _ := ring.Open(ctx, stream)
			if e, position, err := sse.ParseID(lastID); err == nil && e == epoch && position > head {
				return nothing
			}
			return ring.Since(ctx, stream, lastID)
		}),
		"skips what is trimmed while it is read": {
			since: func(ring *sse.RingBuffer, ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
				return func(yield func(sse.Record, error) bool) {
					began := false
					for {
						again := false
						for record, err := range ring.Since(ctx, stream, lastID) {
							if again = began && errors.Is(err, sse.ErrLastIDUnknown); again {
								break
							}
							if !yield(record, err) {
								return
							}
							lastID, began = record.ID, true
						}
						if !again {
							return
						}
						lastID = ""
					}
				}
			},
		},
		"keeps too few": editSince(func(n int, r sse.Record) []sse.Record {
			if n >= kept/2 {
				return nil
			}
			return []sse.Record{r}
		}),
		"loses the key":      editAppend(func(r *sse.Record) { r.Event.Key = "" }),
		"loses topics":       editAppend(func(r *sse.Record) { r.Topics = nil }),
		"sorts topics":       editAppend(func(r *sse.Record) { r.Topics = slices.Sorted(slices.Values(r.Topics)) }),
		"loses holes":        editAppend(func(r *sse.Record) { r.Hole = false }),
		"normalizes data":    editAppend(func(r *sse.Record) { r.Event.Data = strings.ReplaceAll(r.Event.Data, "\r\n", "\n") }),
		"loses retry":        editAppend(func(r *sse.Record) { r.Event.Retry = 0 }),
		"takes IDs as given": editAppend(func(r *sse.Record) { r.ID, r.Event.ID = "", "" }),
		"ignores contexts": {
			append: func(ring *sse.RingBuffer, ctx context.Context, stream string, record sse.Record) (string, string, error) {
				return ring.Append(context.WithoutCancel(ctx), stream, record)
			},
		},
		"appends though the context ended": {
			append: func(ring *sse.RingBuffer, ctx context.Context, stream string, record sse.Record) (string, string, error) {
				previous, id, err := ring.Append(context.WithoutCancel(ctx), stream, record)
				if ctx.Err() != nil {
					return "", "", ctx.Err()
				}
				return previous, id, err
			},
		},
		"invents previous": {
			append: func(ring *sse.RingBuffer, ctx context.Context, stream string, record sse.Record) (string, string, error) {
				_, id, err := ring.Append(ctx, stream, record)
				return id, id, err
			},
		},
		"mixes streams up": {
			append: func(ring *sse.RingBuffer, ctx context.Context, stream string, record sse.Record) (string, string, error) {
				return ring.Append(ctx, strings.TrimSuffix(stream, "*"), record)
			},
		},
		"follows from the head only": {
			follow: func(ring *sse.RingBuffer, ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
				epoch, head, _ := ring.Open(ctx, stream)
				if e, position, err := sse.ParseID(lastID); err == nil && e == epoch && position < head {
					lastID = sse.FormatID(epoch, head-1)
				}
				return ring.Follow(ctx, stream, lastID)
			},
		},
		"stops following at the head": {
			follow: func(ring *sse.RingBuffer, ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
				return ring.Since(ctx, stream, lastID)
			},
		},
	}
	for name, m := range tests {
		t.Run(name, func(t *testing.T) {
			// In a bubble the contract's patience takes no time.
			synctest.Test(t, func(t *testing.T) {
				clause, said := failures(t, func() sse.ReplayStore {
					m.RingBuffer = sse.NewRingBuffer(kept)
					return m
				})
				if clause == "" {
					t.Fatal("no clause of the contract catches this fault")
				}
				t.Logf("%s: %s", clause, said[0])
			})
		})
	}
}

// sharing hands out what it stores.
type sharing struct {
	sse.ReplayStore
	shared map[string][]string
}

func (s sharing) Append(ctx context.Context, stream string, record sse.Record) (string, string, error) {
	previous, id, err := s.ReplayStore.Append(ctx, stream, record)
	s.shared[id] = record.Topics
	return previous, id, err
}

func (s sharing) Since(ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
	return edit(s.ReplayStore.Since(ctx, stream, lastID), func(_ int, r sse.Record) []sse.Record {
		r.Topics = s.shared[r.ID]
		return []sse.Record{r}
	})
}

func TestChecks_CatchSharedTopics(t *testing.T) {
	r := &recorder{TB: t}
	var wg sync.WaitGroup
	wg.Go(func() {
		checkNotShared(r, sharing{sse.NewRingBuffer(0), map[string][]string{}}, streamName())
	})
	wg.Wait()
	if len(r.failures) == 0 {
		t.Error("a store that shares its topics passes")
	}
}

// TestChecks_PassWithoutOptionalAbilities hides that the ring is a Follower.
func TestChecks_PassWithoutOptionalAbilities(t *testing.T) {
	name, said := failures(t, func() sse.ReplayStore {
		return struct{ sse.ReplayStore }{sse.NewRingBuffer(kept)}
	})
	if name != "" {
		t.Errorf("%s fails: %q", name, said)
	}
}

// rotating is a ring that can start streams anew.
type rotating struct {
	*sse.RingBuffer
	mu     sync.Mutex
	rename map[string]int // stream to its incarnation
	blind  bool           // rotate whatever the old epoch
}

func (r *rotating) name(stream string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("%s#%d", stream, r.rename[stream])
}

func (r *rotating) Open(ctx context.Context, stream string) (string, uint64, error) {
	return r.RingBuffer.Open(ctx, r.name(stream))
}

func (r *rotating) Append(ctx context.Context, stream string, record sse.Record) (string, string, error) {
	return r.RingBuffer.Append(ctx, r.name(stream), record)
}

func (r *rotating) Since(ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
	return r.RingBuffer.Since(ctx, r.name(stream), lastID)
}

func (r *rotating) Rotate(ctx context.Context, stream, oldEpoch string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := func() string { return fmt.Sprintf("%s#%d", stream, r.rename[stream]) }
	epoch, _, err := r.RingBuffer.Open(ctx, name())
	if err != nil || epoch != oldEpoch && !r.blind {
		return epoch, err
	}
	r.rename[stream]++
	epoch, _, err = r.RingBuffer.Open(ctx, name())
	return epoch, err
}

func TestChecks_JudgeRotation(t *testing.T) {
	for _, blind := range []bool{false, true} {
		r := &recorder{TB: t}
		var wg sync.WaitGroup
		wg.Go(func() {
			checkRotate(r, &rotating{RingBuffer: sse.NewRingBuffer(0), rename: map[string]int{}, blind: blind}, streamName())
		})
		wg.Wait()
		if got := len(r.failures) > 0; got != blind {
			t.Errorf("blind = %t: failed = %t, want %t: %q", blind, got, blind, r.failures)
		}
	}
}
