package sse_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/store"
)

// appendKV appends and returns the ID.
func appendKV(t *testing.T, s sse.ReplayStore, data string) string {
	t.Helper()
	_, id, err := s.Append(t.Context(), "s", sse.Record{Event: sse.Event{Data: data}})
	if err != nil {
		t.Errorf("Append(%q): %v", data, err)
	}
	return id
}

// dataSince returns the data that Since yields, "HOLE" for a hole, and its error.
func dataSince(t *testing.T, s sse.ReplayStore, lastID string) (data []string, err error) {
	t.Helper()
	for record, err := range s.Since(t.Context(), "s", lastID) {
		if err != nil {
			return data, err
		}
		if record.Hole {
			data = append(data, "HOLE")
		} else {
			data = append(data, record.Event.Data)
		}
	}
	return data, nil
}

// wantData checks what Since yields.
func wantData(t *testing.T, s sse.ReplayStore, lastID string, want ...string) {
	t.Helper()
	if got, err := dataSince(t, s, lastID); err != nil || !slices.Equal(got, want) {
		t.Errorf("Since(%q) = %q, %v, want %q", lastID, got, err, want)
	}
}

func wantUnknown(t *testing.T, s sse.ReplayStore, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if got, err := dataSince(t, s, id); !errors.Is(err, sse.ErrLastIDUnknown) || len(got) > 0 {
			t.Errorf("Since(%q) = %q, %v, want ErrLastIDUnknown", id, got, err)
		}
	}
}

// inBubble runs a test with a KV that is shared, or owned by one process.
func inBubble(t *testing.T, config sse.KVReplayStoreConfig, test func(t *testing.T, kv *testKV, open func() sse.KVReplayStore)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		kv := newTestKV(t)
		test(t, kv, func() sse.KVReplayStore {
			config := config
			config.KV = kv
			return openKV(t, config)
		})
	})
}

func TestKVReplayStore_NoticesLostCounters(t *testing.T) {
	faults := map[string]func(t *testing.T, kv *testKV){
		"deleted": func(t *testing.T, kv *testKV) {
			if err := kv.Delete(t.Context(), kv.key(t, ":counter")); err != nil {
				t.Fatal(err)
			}
		},
		"damaged": func(t *testing.T, kv *testKV) {
			if err := kv.Set(t.Context(), kv.key(t, ":counter"), []byte("no number"), 9000*time.Hour); err != nil {
				t.Fatal(err)
			}
		},
		"gone back": func(t *testing.T, kv *testKV) {
			if _, err := kv.Increment(t.Context(), kv.key(t, ":counter"), -2, 9000*time.Hour); err != nil {
				t.Fatal(err)
			}
		},
		"counting anew": func(t *testing.T, kv *testKV) {
			key := kv.key(t, ":counter")
			if err := kv.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			if _, err := kv.Increment(t.Context(), key, 1000, 9000*time.Hour); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, fault := range faults {
		for _, async := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, async %t", name, async), func(t *testing.T) {
				inBubble(t, sse.KVReplayStoreConfig{AsyncAppend: async}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
					a := open()
					var old []string
					for n := range 8 { // a whole block
						old = append(old, appendKV(t, a, fmt.Sprint(n)))
					}
					synctest.Wait()
					fault(t, kv)
					// The process that goes on notices when it appends.
					if id := appendKV(t, a, "new"); slices.Contains(old, id) {
						t.Errorf("the ID %q was used twice", id)
					}
					wantUnknown(t, a, old...)
					wantData(t, a, "", "new")
					if async {
						return
					}
					// So does another one, and one that begins.
					b := open()
					wantUnknown(t, b, old...)
					wantData(t, b, "", "new")
					fault2 := kv.keys(t, ":counter")
					if len(fault2) > 2 {
						t.Errorf("counters: %q", fault2)
					}
				})
			})
		}
		t.Run(name+", for who begins", func(t *testing.T) {
			inBubble(t, sse.KVReplayStoreConfig{}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
				a := open()
				old := []string{appendKV(t, a, "1"), appendKV(t, a, "2"), appendKV(t, a, "3")}
				fault(t, kv)
				b := open()
				wantUnknown(t, b, old...)
				if id := appendKV(t, b, "new"); slices.Contains(old, id) {
					t.Errorf("the ID %q was used twice", id)
				}
				wantData(t, a, "", "new")
				wantUnknown(t, a, old...)
				appendKV(t, a, "newer")
				wantData(t, b, "", "new", "newer")
			})
		})
	}
}

func TestKVReplayStore_MarkTellsThatTheCounterWentBack(t *testing.T) {
	inBubble(t, sse.KVReplayStoreConfig{MaxEvents: 10}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		a := open()
		var old []string
		for n := range 70 {
			old = append(old, appendKV(t, a, fmt.Sprint(n)))
		}
		synctest.Wait()
		// Far enough for no record to be right behind the counter.
		if _, err := kv.Increment(t.Context(), kv.key(t, ":counter"), -69, 9000*time.Hour); err != nil {
			t.Fatal(err)
		}
		b := open()
		wantUnknown(t, b, old...)
		if id := appendKV(t, b, "new"); slices.Contains(old, id) {
			t.Errorf("the ID %q was used twice", id)
		}
	})
}

func TestKVReplayStore_FollowersNoticeALostCounter(t *testing.T) {
	inBubble(t, sse.KVReplayStoreConfig{}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		id := appendKV(t, open(), "1")
		b := open()
		ended := make(chan error, 1)
		go func() {
			for _, err := range b.(sse.Follower).Follow(t.Context(), "s", id) {
				ended <- err
			}
		}()
		time.Sleep(time.Second)
		if err := kv.Delete(t.Context(), kv.key(t, ":counter")); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, sse.ErrLastIDUnknown) {
			t.Errorf("Follow = %v, want ErrLastIDUnknown", err)
		}
	})
}

func TestKVReplayStore_MarksDamagedRecords(t *testing.T) {
	for _, async := range []bool{false, true} {
		inBubble(t, sse.KVReplayStoreConfig{AsyncAppend: async}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
			s := open()
			epoch, _, err := s.Open(t.Context(), "s")
			if err != nil {
				t.Fatal(err)
			}
			for n := range 7 {
				appendKV(t, s, fmt.Sprint(n+1))
			}
			synctest.Wait()
			set := func(position int, change func(value []byte) []byte) {
				key := kv.key(t, fmt.Sprintf(":%d", position))
				value, err := kv.Get(t.Context(), key)
				if err == nil {
					err = kv.Set(t.Context(), key, change(value), 9000*time.Hour)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			set(2, func(value []byte) []byte { value[len(value)/2] ^= 1; return value })
			set(3, func([]byte) []byte { return nil })
			set(4, func(value []byte) []byte { return append(value, 0) })
			set(5, func(value []byte) []byte { return value[:len(value)-1] })
			// A record that is whole, but another's.
			six, err := kv.Get(t.Context(), kv.key(t, ":6"))
			if err != nil {
				t.Fatal(err)
			}
			set(7, func([]byte) []byte { return six })
			wantData(t, s, sse.FormatID(epoch, 0), "1", "HOLE", "HOLE", "HOLE", "HOLE", "6", "HOLE")
			wantData(t, s, sse.FormatID(epoch, 4), "HOLE", "6", "HOLE")
			appendKV(t, s, "8")
			wantData(t, s, sse.FormatID(epoch, 6), "HOLE", "8")
		})
	}
}

func TestKVReplayStore_AgreesOnADamagedEpoch(t *testing.T) {
	inBubble(t, sse.KVReplayStoreConfig{}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		a := open()
		old := appendKV(t, a, "1")
		if err := kv.Set(t.Context(), kv.key(t, ":epoch"), []byte("damaged"), 9000*time.Hour); err != nil {
			t.Fatal(err)
		}
		b := open()
		epochs := make(chan string)
		for _, s := range []sse.ReplayStore{a, b, open(), open()} {
			go func() {
				epoch, _, err := s.Open(t.Context(), "s")
				if err != nil {
					t.Errorf("Open: %v", err)
				}
				epochs <- epoch
			}()
		}
		epoch := <-epochs
		for range 3 {
			if other := <-epochs; other != epoch {
				t.Errorf("epochs %q and %q", epoch, other)
			}
		}
		wantUnknown(t, a, old)
		appendKV(t, a, "2")
		appendKV(t, b, "3")
		wantData(t, a, "", "2", "3")
		wantData(t, b, "", "2", "3")
	})
}

func TestKVReplayStore_RestoresAnEvictedEpoch(t *testing.T) {
	inBubble(t, sse.KVReplayStoreConfig{}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		a := open()
		id := appendKV(t, a, "1")
		key := kv.key(t, ":epoch")
		if err := kv.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		appendKV(t, a, "2")
		b := open()
		wantData(t, b, id, "2")

		// Whoever begins while it is gone begins a new epoch, and those who know the old one go along.
		if err := kv.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		c := open()
		appendKV(t, c, "3")
		appendKV(t, a, "4")
		for _, s := range []sse.ReplayStore{a, b, c} {
			wantUnknown(t, s, id)
			wantData(t, s, "", "3", "4")
		}
	})
}

func TestKVReplayStore_MarksTheRecordOfAWriterThatDied(t *testing.T) {
	inBubble(t, sse.KVReplayStoreConfig{}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		a := open()
		first := appendKV(t, a, "1")
		// It took two positions, and wrote nothing.
		if _, err := kv.Increment(t.Context(), kv.key(t, ":counter"), 2, 9000*time.Hour); err != nil {
			t.Fatal(err)
		}
		previous, id, err := a.Append(t.Context(), "s", sse.Record{Event: sse.Event{Data: "4"}})
		if err != nil {
			t.Fatal(err)
		}
		epoch, _, _ := sse.ParseID(first)
		if previous != sse.FormatID(epoch, 3) || id != sse.FormatID(epoch, 4) {
			t.Errorf("Append = %q, %q, want positions 3 and 4", previous, id)
		}
		began := time.Now()
		wantData(t, open(), first, "HOLE", "HOLE", "4")
		if waited := time.Since(began); waited < 4*time.Second || waited > 5*time.Second {
			t.Errorf("the reader waited %v, want twice Timeout, once", waited)
		}
		began = time.Now()
		wantData(t, a, first, "HOLE", "HOLE", "4")
		if waited := time.Since(began); waited > 0 {
			t.Errorf("the second reader waited %v, want no more", waited)
		}
	})
}

func TestKVReplayStore_StoresTheRecordOfALateWriterBehindTheHole(t *testing.T) {
	inBubble(t, sse.KVReplayStoreConfig{}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		a := open()
		first := appendKV(t, a, "1")
		resume := make(chan struct{})
		kv.on(func(_ context.Context, op, key string) error {
			if op == "setnx" && strings.HasSuffix(key, ":2") {
				<-resume // as if the process had been stopped
			}
			return nil
		}, nil)
		late := make(chan string)
		go func() { late <- appendKV(t, a, "late") }()
		synctest.Wait()
		kv.on(nil, nil)
		b := open()
		appendKV(t, b, "3")
		wantData(t, b, first, "HOLE", "3")
		close(resume)
		id := <-late
		if _, position, _ := sse.ParseID(id); position != 4 {
			t.Errorf("the late record has the ID %q, want position 4", id)
		}
		wantData(t, b, first, "HOLE", "3", "late")
		wantData(t, a, first, "HOLE", "3", "late")
	})
}

func TestKVReplayStore_ReadersWaitForWritersThatLive(t *testing.T) {
	inBubble(t, sse.KVReplayStoreConfig{}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		a := open()
		first := appendKV(t, a, "1")
		kv.on(func(_ context.Context, op, key string) error {
			if op == "setnx" && strings.HasSuffix(key, ":2") {
				time.Sleep(time.Second)
			}
			return nil
		}, nil)
		go appendKV(t, a, "2")
		synctest.Wait()
		b := open()
		appendKV(t, b, "3")
		wantData(t, b, first, "2", "3")
	})
}

func TestKVReplayStore_SaysWhenTheOutcomeIsUnknown(t *testing.T) {
	inBubble(t, sse.KVReplayStoreConfig{}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		s := open()
		first := appendKV(t, s, "1")
		record := sse.Record{Event: sse.Event{Data: "2"}}

		// The write takes effect, and then nothing answers any more.
		var down atomic.Bool
		tries := 0
		kv.on(func(_ context.Context, op, _ string) error {
			if down.Load() {
				return errKV
			}
			return nil
		}, func(_ context.Context, op, key string) error {
			if op == "setnx" && strings.HasSuffix(key, ":2") {
				down.Store(true)
				return errKV
			}
			return nil
		})
		if _, _, err := s.Append(t.Context(), "s", record); !errors.Is(err, sse.ErrOutcomeUnknown) || !errors.Is(err, errKV) {
			t.Errorf("Append = %v, want ErrOutcomeUnknown and the KV's error", err)
		}
		// While nothing answers, nothing is appended.
		if _, _, err := s.Append(t.Context(), "s", record); !errors.Is(err, errKV) || errors.Is(err, sse.ErrOutcomeUnknown) {
			t.Errorf("Append = %v, want the KV's error only", err)
		}
		if _, err := dataSince(t, s, first); !errors.Is(err, errKV) {
			t.Errorf("Since = %v, want the KV's error", err)
		}
		kv.on(nil, nil)
		wantData(t, s, first, "2")

		// A write that fails for certain leaves neither a record nor a hole.
		refused := ""
		kv.on(func(_ context.Context, op, key string) error {
			if op == "setnx" && (key == refused || refused == "") && kv.requests("setnx") < tries {
				refused = key
				return errKV
			}
			return nil
		}, nil)
		tries = kv.requests("setnx") + 5 // the fifth one, which is for something else
		if _, _, err := s.Append(t.Context(), "s", record); !errors.Is(err, errKV) || errors.Is(err, sse.ErrOutcomeUnknown) {
			t.Errorf("Append = %v, want the KV's error only", err)
		}
		appendKV(t, s, "4")
		if !strings.HasSuffix(refused, ":3") {
			t.Errorf("the record that was refused is %q, want position 3", refused)
		}
		wantData(t, s, first, "2", "4")
	})
}

func TestKVReplayStore_AppendEndsWithItsContext(t *testing.T) {
	inBubble(t, sse.KVReplayStoreConfig{}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		s := open()
		first := appendKV(t, s, "1")
		resume := make(chan struct{})
		hold := func(what string) func(context.Context, string, string) error {
			return func(_ context.Context, op, _ string) error {
				if op == what {
					<-resume
				}
				return nil
			}
		}
		try := func(data string) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, _, err := s.Append(ctx, "s", sse.Record{Event: sse.Event{Data: data}})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Append = %v, want DeadlineExceeded", err)
			}
			return err
		}
		kv.on(hold("increment"), nil)
		if err := try("2"); !errors.Is(err, sse.ErrOutcomeUnknown) {
			t.Errorf("Append that waits for its position = %v, want ErrOutcomeUnknown", err)
		}
		if err := try("never"); errors.Is(err, sse.ErrOutcomeUnknown) {
			t.Errorf("Append that waits for its turn = %v, want a certain outcome", err)
		}
		close(resume)
		synctest.Wait()
		wantData(t, s, first, "2")
	})
}

func TestKVReplayStore_AppendsShareRoundTrips(t *testing.T) {
	inBubble(t, sse.KVReplayStoreConfig{}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		s := open()
		first := appendKV(t, s, "1")
		kv.on(func(_ context.Context, op, _ string) error {
			time.Sleep(time.Millisecond) // a round trip
			return nil
		}, nil)
		before := kv.requests("increment")
		const appends = 200
		done := make(chan struct{})
		for n := range appends {
			go func() {
				appendKV(t, s, fmt.Sprint(n))
				done <- struct{}{}
			}()
		}
		for range appends {
			<-done
		}
		if got := kv.requests("increment") - before; got > 8 {
			t.Errorf("%d appends at once took positions %d times, want 8 at most", appends, got)
		}
		if got, err := dataSince(t, s, first); err != nil || len(got) != appends {
			t.Errorf("Since = %d records, %v, want %d", len(got), err, appends)
		}
	})
}

func TestKVReplayStore_FollowIsCheap(t *testing.T) {
	for _, name := range []string{"All", "NoMGet"} {
		synctest.Test(t, func(t *testing.T) {
			kv := newTestKV(t)
			s := openKV(t, sse.KVReplayStoreConfig{KV: abilities[name](kv), FollowInterval: time.Second})
			id := appendKV(t, s, "1")
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for range s.(sse.Follower).Follow(ctx, "s", id) { // only its requests count
				}
			}()
			time.Sleep(time.Minute)
			before := kv.requests("get") + kv.requests("mget")
			time.Sleep(80 * time.Second)
			got := kv.requests("get") + kv.requests("mget") - before
			if want := map[string]int{"All": 81, "NoMGet": 81 + 4*10}[name]; got > want {
				t.Errorf("%s: %d requests in 80 intervals, want %d at most", name, got, want)
			}
			cancel()
			<-ended
		})
	}
}

func TestKVReplayStore_OutlivesItsRecords(t *testing.T) {
	inBubble(t, sse.KVReplayStoreConfig{TTL: time.Minute}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		a := open()
		var ids []string
		for n := range 10 {
			ids = append(ids, appendKV(t, a, fmt.Sprint(n)))
		}
		time.Sleep(2 * time.Minute)
		if left := kv.keys(t, ":10"); len(left) > 0 {
			t.Fatalf("records are left behind their TTL: %q", left)
		}
		b := open()
		epoch, head, err := b.Open(t.Context(), "s")
		if id := sse.FormatID(epoch, head); err != nil || id != ids[9] {
			t.Errorf("Open = %q, %v, want %q", id, err, ids[9])
		}
		wantUnknown(t, b, ids[:8]...)
		wantData(t, b, ids[9])
		if _, position, _ := sse.ParseID(appendKV(t, b, "new")); position != 11 {
			t.Errorf("position behind expired records = %d, want 11", position)
		}
		wantData(t, b, ids[9], "new")
		wantUnknown(t, a, ids[:8]...)
		// When nothing at all is left, nothing is used again.
		if err := kv.DeletePrefix(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if id := appendKV(t, b, "later"); slices.Contains(ids, id) || strings.HasPrefix(id, epoch) {
			t.Errorf("ID of another time = %q, want another epoch than %q", id, epoch)
		}
		wantUnknown(t, b, ids...)
	})
}

func TestKVReplayStore_KeepsNoMoreThanMaxEvents(t *testing.T) {
	inBubble(t, sse.KVReplayStoreConfig{MaxEvents: 10}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		a, b := open(), open()
		for n := range 100 {
			appendKV(t, []sse.ReplayStore{a, b}[n%2], fmt.Sprint(n))
		}
		synctest.Wait()
		const others = 3 // epoch, counter, mark
		if keys := kv.dump(t); len(keys) != 10+others {
			t.Errorf("%d keys, want %d: %q", len(keys), 10+others, keys)
		}
	})
}

func TestKVReplayStore_NamesKeysPlainly(t *testing.T) {
	kv := newTestKV(t)
	s := openKV(t, sse.KVReplayStoreConfig{KV: kv, Prefix: "sse:app:", CounterKey: "seq"})
	for _, stream := range []string{"plain-name_1", "späti", strings.Repeat("long", 1000), "a:b", "a b\x00", "~"} {
		if _, _, err := s.Append(t.Context(), stream, sse.Record{}); err != nil {
			t.Fatal(err)
		}
	}
	for key := range kv.dump(t) {
		if i := strings.IndexFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }); i >= 0 || !strings.HasPrefix(key, "sse:app:") {
			t.Errorf("key %q", key)
		}
	}
	if kv.key(t, "plain-name_1:epoch"); len(kv.keys(t, ":seq")) != 6 {
		t.Errorf("counters: %q, want 6", kv.keys(t, ":seq"))
	}
}

var _ store.KV = (*testKV)(nil)
