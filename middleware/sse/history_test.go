package sse_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

func TestReplayKey_HandlersWithOneStoreShareItsHistories(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		store := sse.NewRingBuffer(0)
		one, ones := diary(t, w, store)
		two, twos := diary(t, w, store)
		a, b := one.visitAt("/?user=ann"), two.visitAt("/?user=ann")
		ann, other := <-ones, <-twos
		synctest.Wait()
		send(t, ann, "from one")
		synctest.Wait()
		send(t, other, "from two")
		want := []string{"retry: 3000|id: E-0", "id: E-1|data: from one", "id: E-2|data: from two"}
		equal(t, "the first", a.all(), want...)
		equal(t, "the second", b.all(), want...)
	})
}

func TestReplayKey_ServesWhatOnlyTheStoreStillHas(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		const sent = 2000 // more than a log keeps, less than the store does
		s, clients := diary(t, w, sse.NewRingBuffer(2*sent))
		first := s.visitAt("/?user=ann")
		c := <-clients
		synctest.Wait()
		for i := range sent {
			send(t, c, fmt.Sprint(i+1))
			synctest.Wait()
		}
		time.Sleep(time.Hour - time.Millisecond) // between two heartbeats
		if n := len(first.all()); n < sent {
			t.Fatalf("the first got %d blocks, want %d events", n, sent)
		}
		epoch, _, _ := strings.Cut(first.last(), "-")
		back := s.visitAt("/?user=ann", "Last-Event-Id", epoch+"-1")
		got := back.all()
		if len(got) != sent || got[1] != "id: E-2|data: 2" || got[sent-1] != fmt.Sprintf("id: E-%d|data: %[1]d", sent) {
			t.Fatalf("resumed with %d blocks, %q to %q", len(got), got[:2], got[len(got)-1])
		}
		// Both logs follow the store from here on.
		send(t, c, "on")
		equal(t, "the first", first.all(), fmt.Sprintf("id: E-%d|data: on", sent+1))
		equal(t, "who came back", back.all(), fmt.Sprintf("id: E-%d|data: on", sent+1))
	})
}
