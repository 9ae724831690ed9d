package sse_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

func positionIn(t *testing.T, id string) uint64 {
	t.Helper()
	_, p, err := sse.ParseID(id)
	if err != nil {
		t.Fatalf("ParseID(%q): %v", id, err)
	}
	return p
}

func TestKVReplayStore_AsyncAppendDoesNotWait(t *testing.T) {
	config := sse.KVReplayStoreConfig{AsyncAppend: true, AsyncAppendConcurrency: 3, AsyncAppendBacklog: 6}
	inBubble(t, config, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		s := open()
		f := s.(sse.Flusher)
		first := appendKV(t, s, "1")
		if err := f.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := f.Stored("s"); got != positionIn(t, first) {
			t.Errorf("Stored = %d, want that of %q", got, first)
		}
		resume := make(chan struct{})
		var most, now atomic.Int32
		kv.on(func(_ context.Context, op, key string) error {
			if op == "setnx" {
				most.Store(max(most.Load(), now.Add(1)))
				<-resume
				now.Add(-1)
			}
			return nil
		}, nil)
		want := []string{}
		for n := range 6 {
			want = append(want, fmt.Sprint(n))
			if id := appendKV(t, s, fmt.Sprint(n)); positionIn(t, id) != positionIn(t, first)+uint64(n)+1 {
				t.Errorf("append %d has the ID %q", n, id)
			}
		}
		synctest.Wait()
		if most.Load() != 3 {
			t.Errorf("%d records are stored at a time, want 3", most.Load())
		}
		if _, _, err := s.Append(t.Context(), "s", sse.Record{}); !errors.Is(err, sse.ErrStoreBehind) {
			t.Errorf("Append with a full backlog = %v, want ErrStoreBehind", err)
		}
		// What isn't stored yet can be read here, and is not called stored.
		wantData(t, s, first, want...)
		if got := f.Stored("s"); got != positionIn(t, first) {
			t.Errorf("Stored = %d, want that of %q", got, first)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush while nothing is stored = %v, want DeadlineExceeded", err)
		}
		close(resume)
		if err := f.Flush(t.Context()); err != nil {
			t.Errorf("Flush: %v", err)
		}
		if got := f.Stored("s"); got != positionIn(t, first)+6 {
			t.Errorf("Stored = %d, want %d", got, positionIn(t, first)+6)
		}
		kv.on(nil, nil)
		appendKV(t, s, "more")
		wantData(t, s, first, append(want, "more")...)
	})
}

func TestKVReplayStore_StoredStopsAtWhatIsMissing(t *testing.T) {
	inBubble(t, sse.KVReplayStoreConfig{AsyncAppend: true}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		s := open()
		first := appendKV(t, s, "1")
		synctest.Wait()
		resume := make(chan struct{})
		kv.on(func(_ context.Context, op, key string) error {
			if op == "setnx" && strings.HasSuffix(key, ":3") {
				<-resume
			}
			return nil
		}, nil)
		for n := range 4 {
			appendKV(t, s, fmt.Sprint(n))
		}
		synctest.Wait()
		f := s.(sse.Flusher)
		if got := f.Stored("s"); got != 2 || positionIn(t, first) != 1 {
			t.Errorf("Stored = %d, want 2: position 3 is missing", got)
		}
		close(resume)
		if err := f.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if got := f.Stored("s"); got != 5 {
			t.Errorf("Stored = %d, want 5", got)
		}
		if got := f.Stored("another"); got != 0 {
			t.Errorf("Stored of a stream that isn't open = %d, want 0", got)
		}
	})
}

func TestKVReplayStore_TellsOfRecordsThatCouldNotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := newTestKV(t)
		type report struct {
			stream, id string
			err        error
		}
		reports := make(chan report, 10)
		s := openKV(t, sse.KVReplayStoreConfig{KV: kv, AsyncAppend: true, OnError: func(stream, id string, err error) {
			reports <- report{stream, id, err}
			panic("of the application")
		}})
		first := appendKV(t, s, "1")
		synctest.Wait()
		var refusing atomic.Bool
		refusing.Store(true)
		kv.on(func(_ context.Context, op, key string) error {
			if op == "setnx" && strings.HasSuffix(key, ":2") && refusing.Load() {
				return errKV
			}
			return nil
		}, nil)
		lost := appendKV(t, s, "refused")
		appendKV(t, s, "3")
		time.Sleep(2 * time.Minute)
		// Until there is a hole in its place, the record is there for who reads here.
		wantData(t, s, first, "refused", "3")
		refusing.Store(false)
		f := s.(sse.Flusher)
		if err := f.Flush(t.Context()); !errors.Is(err, errKV) {
			t.Errorf("Flush = %v, want the KV's error", err)
		}
		if err := f.Flush(t.Context()); err != nil {
			t.Errorf("second Flush = %v, want none", err)
		}
		if r := <-reports; r.stream != "s" || r.id != lost || !errors.Is(r.err, errKV) {
			t.Errorf("OnError(%q, %q, %v), want that of %q", r.stream, r.id, r.err, lost)
		}
		wantData(t, s, first, "HOLE", "3")
		if got := f.Stored("s"); got != 3 {
			t.Errorf("Stored = %d, want 3", got)
		}
	})
}

func TestKVReplayStore_AsyncAppendSurvivesAShortOutage(t *testing.T) {
	inBubble(t, sse.KVReplayStoreConfig{AsyncAppend: true}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
		s := open()
		first := appendKV(t, s, "1")
		synctest.Wait()
		kv.on(func(context.Context, string, string) error { return errKV }, nil)
		for n := range 5 {
			appendKV(t, s, fmt.Sprint(n))
		}
		time.Sleep(30 * time.Second) // longer than the lease
		kv.on(nil, nil)
		if err := s.(sse.Flusher).Flush(t.Context()); err != nil {
			t.Errorf("Flush: %v", err)
		}
		wantData(t, s, first, "0", "1", "2", "3", "4")
	})
}

func TestKVReplayStore_CloseStoresWhatWasAppended(t *testing.T) {
	for _, async := range []bool{false, true} {
		inBubble(t, sse.KVReplayStoreConfig{AsyncAppend: async}, func(t *testing.T, kv *testKV, open func() sse.KVReplayStore) {
			a := open()
			first := appendKV(t, a, "1")
			kv.on(func(context.Context, string, string) error { time.Sleep(100 * time.Millisecond); return nil }, nil)
			followed := make(chan error, 1)
			if f, ok := a.(sse.Follower); ok {
				go func() {
					for _, err := range f.Follow(t.Context(), "s", sse.FormatID(strings.Split(first, "-")[0], 0)) {
						if err != nil {
							followed <- err
						}
					}
				}()
			} else {
				followed <- sse.ErrStoreClosed
			}
			appended := make(chan struct{})
			go func() {
				appendKV(t, a, "2")
				close(appended)
			}()
			if async {
				<-appended
			}
			synctest.Wait()
			closed := make(chan error)
			for range 2 {
				go func() { closed <- a.Close(t.Context()) }()
			}
			for range 2 {
				if err := <-closed; err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			<-appended
			if err := <-followed; !errors.Is(err, sse.ErrStoreClosed) {
				t.Errorf("Follow = %v, want ErrStoreClosed", err)
			}
			if _, _, err := a.Append(t.Context(), "s", sse.Record{}); !errors.Is(err, sse.ErrStoreClosed) {
				t.Errorf("Append = %v, want ErrStoreClosed", err)
			}
			if _, _, err := a.Open(t.Context(), "s"); !errors.Is(err, sse.ErrStoreClosed) {
				t.Errorf("Open = %v, want ErrStoreClosed", err)
			}
			if _, err := dataSince(t, a, first); !errors.Is(err, sse.ErrStoreClosed) {
				t.Errorf("Since = %v, want ErrStoreClosed", err)
			}
			kv.on(nil, nil)
			wantData(t, open(), first, "2")
		})
	}
}
