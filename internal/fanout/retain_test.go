package fanout

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetention_KeepsExactlyHistory(t *testing.T) {
	c := newTestCore(t, Config{SubscriberBuffer: 4, History: 4})
	publishAll(t, c, 1, 10, "a")
	publish(t, c, 11, "b")
	for from, want := range map[Position]string{
		11: "", 10: "e11@11", 6: "e7@7 e8@8 e9@9 e10@10 e11@11", 5: "expired:0@11", 0: "expired:0@11",
	} {
		open(t, c, at(c, from), "a", "b").expect(t, want)
	}
	open(t, c, at(c, 5), "b").expect(t, "e11@11")
	if got := c.Stats().HistoryFrames; got != 5 {
		t.Errorf("frames in the logs = %d, want 5", got)
	}
}

func TestRetention_ServesAnAttachedMemberBeyondHistory(t *testing.T) {
	c := newTestCore(t, Config{SubscriberBuffer: 4, History: 4})
	p := open(t, c, "", "a")
	publishAll(t, c, 1, 10, "a") // all of them in one segment
	p.expect(t, "e1@1 e2@2 e3@3 e4@4 e5@5 e6@6 e7@7 e8@8 e9@9 e10@10")
}

func TestRetention_TellsWhoIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCore(t, Config{SubscriberBuffer: 4, History: 4})
		fast, fresh := open(t, c, "", "a"), open(t, c, at(c, 0), "a")
		fast.expect(t, "")
		publishAll(t, c, 1, 200, "a")
		fast.expect(t, "lagged:0@200") // it was once through
		fresh.expect(t, "expired:0@200")
	})
}

func TestRetention_BoundsMemoryOfManyTopics(t *testing.T) {
	const topics, size, limit = 10_000, 1000, 16 << 20
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := newTestCore(t, Config{HistoryBytes: limit, MaxLagBytes: 1 << 20})
	for n := range 4 * topics {
		if _, err := c.Publish(context.Background(), eventBody(n, size), fmt.Sprint(n%topics)); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Stats(); got.HistoryBytes > limit || got.Topics != topics {
		t.Errorf("%d bytes in %d topics, want at most %d in %d", got.HistoryBytes, got.Topics, limit, topics)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int(after.HeapAlloc - before.HeapAlloc); got > 2*limit {
		t.Errorf("heap grew by %d bytes, want at most %d", got, 2*limit)
	}
	for _, n := range []int{0, 1, topics / 2, topics - 1} {
		name, newest := fmt.Sprint(n), Position(3*topics+n+1)
		open(t, c, at(c, newest-1), name).expect(t, fmt.Sprintf("e%d@%d", 3*topics+n, newest))
		open(t, c, at(c, 0), name).expect(t, fmt.Sprintf("expired:0@%d", 4*topics))
	}
}

func TestRetention_ForgetsByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCore(t, Config{HistoryAge: time.Minute})
		follower := open(t, c, "", "followed")
		publish(t, c, 1, "followed")
		publish(t, c, 2, "left")
		time.Sleep(50 * time.Second)
		open(t, c, at(c, 1), "left").End(nil) // who leaves starts the time anew
		time.Sleep(50 * time.Second)
		if got := c.Stats().Topics; got != 2 {
			t.Errorf("%d topics before their time, want 2", got)
		}
		time.Sleep(20 * time.Second)
		if got := c.Stats().Topics; got != 1 {
			t.Errorf("%d topics behind their time, want 1", got)
		}
		open(t, c, at(c, 1), "left").expect(t, "expired:0@2")
		follower.expect(t, "e1@1")
		open(t, c, at(c, 0), "followed").expect(t, "e1@1") // the newest segment stays
	})
}

func TestRetention_AgeFreesAllButTheNewestSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCore(t, Config{HistoryAge: time.Minute})
		open(t, c, "", "a")
		for n := range 20 {
			if _, err := c.Publish(t.Context(), eventBody(n, 1000), "a"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		v := c.topics["a"].view.Load()
		if len(v.segs) != 1 {
			t.Errorf("%d segments, want 1", len(v.segs))
		}
		open(t, c, at(c, v.freed-1), "a").expect(t, "expired:0@20")
		if s := c.Stats(); s.HistoryBytes != v.segs[0].size() || s.HistoryFrames != int(v.segs[0].n.Load()) {
			t.Errorf("stats say %d bytes and %d frames, want %d and %d", s.HistoryBytes, s.HistoryFrames, v.segs[0].size(), v.segs[0].n.Load())
		}
	})
}

func TestTopics_ADroppedOneLeavesAFloor(t *testing.T) {
	c := newTestCore(t, Config{MaxTopics: 1})
	publishAll(t, c, 1, 3, "a")
	publish(t, c, 4, "b") // in its place
	publish(t, c, 5, "a") // and back
	open(t, c, at(c, 2), "a").expect(t, "expired:0@5")
	open(t, c, at(c, 3), "a").expect(t, "e5@5")
}

func TestTopics_TheLongestIdleMakesRoom(t *testing.T) {
	c := newTestCore(t, Config{MaxTopics: 3})
	followed := open(t, c, "", "followed")
	publish(t, c, 1, "old")
	publish(t, c, 2, "new")
	publish(t, c, 3, "old")
	publish(t, c, 4, "another")
	for name, want := range map[string]bool{"followed": true, "old": true, "new": false, "another": true} {
		if _, got := c.topics[name]; got != want {
			t.Errorf("topic %s is there: %v, want %v", name, got, want)
		}
	}
	open(t, c, "", "old", "another")
	if _, err := c.Publish(t.Context(), nil, "more"); !errors.Is(err, ErrTooManyTopics) {
		t.Errorf("Publish to one more: %v, want %v", err, ErrTooManyTopics)
	}
	if err := c.Join(followed.Member, "more"); !errors.Is(err, ErrTooManyTopics) {
		t.Errorf("Join of one more: %v, want %v", err, ErrTooManyTopics)
	}
	if err := c.Open(newPeer(1).Member, "", "more"); !errors.Is(err, ErrTooManyTopics) {
		t.Errorf("Open of one more: %v, want %v", err, ErrTooManyTopics)
	}
	publish(t, c, 5, "old") // those that are there take frames as before
}

func TestTopics_OnesThatMakeRoomForEachOtherAreTooMany(t *testing.T) {
	c := newTestCore(t, Config{MaxTopics: 2})
	if _, err := c.Publish(t.Context(), nil, "a", "b", "c"); !errors.Is(err, ErrTooManyTopics) {
		t.Errorf("Publish: %v, want %v", err, ErrTooManyTopics)
	}
	if err := c.Open(newPeer(1).Member, "", "a", "b", "c"); !errors.Is(err, ErrTooManyTopics) {
		t.Errorf("Open: %v, want %v", err, ErrTooManyTopics)
	}
	if got := c.Head(); got != 0 {
		t.Errorf("head = %d, want 0", got)
	}
}
