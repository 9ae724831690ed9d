package sse_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// onCloud opens a broker on a store.
func onCloud(t *testing.T, store sse.ReplayStore, cfg sse.BrokerConfig) *sse.Broker {
	t.Helper()
	cfg.ReplayStore = store
	return newBroker(t, cfg)
}

func serve(t *testing.T, w way, b *sse.Broker) *site {
	t.Helper()
	return stream(t, w, sse.Config{Broker: b, HeartbeatInterval: time.Hour})
}

func event(data string) sse.Event { return sse.Event{Data: data} }

func TestStore_ReachesTheClientsOfEveryProcess(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		c := newCloud()
		one, two := onCloud(t, c, sse.BrokerConfig{}), onCloud(t, c, sse.BrokerConfig{})
		here, there := serve(t, w, one), serve(t, w, two)
		a, b := here.visit(), there.visit()
		synctest.Wait()
		if id := publish(t, one, "first"); id != "e1-1" {
			t.Errorf("published as %q, want e1-1", id)
		}
		synctest.Wait()
		publish(t, two, "second")
		want := []string{"retry: 3000|id: E-0", "id: E-1|data: first", "id: E-2|data: second"}
		equal(t, "here", a.all(), want...)
		equal(t, "there", b.all(), want...)
		a.leave()
		publish(t, two, "third")
		equal(t, "hops", there.resume(a).all(), "retry: 3000|id: E-2", "id: E-3|data: third")
	})
}

func TestStore_RestartLosesNothing(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		c := newCloud()
		b := onCloud(t, c, sse.BrokerConfig{})
		tab := serve(t, w, b).visit()
		synctest.Wait()
		publish(t, b, "1")
		tab.all()
		publish(t, b, "2")
		tab.leave()
		_ = b.Close(t.Context())
		b = onCloud(t, c, sse.BrokerConfig{})
		s := serve(t, w, b)
		back := s.visit("Last-Event-Id", "e1-1")
		synctest.Wait()
		publish(t, b, "3")
		equal(t, "resumed", back.all(), "retry: 3000|id: E-1", "id: E-2|data: 2", "id: E-3|data: 3")
	})
}

// held makes the next appends' answers wait; each call of the function that it returns lets the oldest go.
func held(c *cloud) (release func(i int)) {
	var mu sync.Mutex
	var waits []chan struct{}
	c.do(func() {
		c.fate = func() fate {
			mu.Lock()
			defer mu.Unlock()
			waits = append(waits, make(chan struct{}))
			return fate{wait: waits[len(waits)-1]}
		}
	})
	return func(i int) {
		mu.Lock()
		defer mu.Unlock()
		close(waits[i])
	}
}

func TestStore_AnswersInAnyOrderMakeTheStoresOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		b := onCloud(t, alone{c}, sse.BrokerConfig{StoreTimeout: time.Minute})
		tab := serve(t, h1, b).visit()
		release := held(c)
		ids := make([]string, 3)
		var publishers sync.WaitGroup
		for i := range ids {
			publishers.Go(func() { ids[i] = publish(t, b, fmt.Sprint(i)) })
			synctest.Wait()
		}
		reads := c.reads
		release(2)
		release(1)
		equal(t, "nothing passes what is missing", tab.all(), "retry: 3000|id: E-0")
		release(0)
		equal(t, "in order", tab.all(), "id: E-1|data: 0", "id: E-2|data: 1", "id: E-3|data: 2")
		publishers.Wait()
		equal(t, "ids", ids, "e1-1", "e1-2", "e1-3")
		if c.reads != reads {
			t.Errorf("%d reads for answers that only had to wait for each other", c.reads-reads)
		}
	})
}

func TestStore_AnAnswerThatTakesTooLongIsRead(t *testing.T) {
	for _, name := range []string{"alone", "shared"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCloud()
				var store sse.ReplayStore = c
				if name == "alone" {
					store = alone{c}
				}
				b := onCloud(t, store, sse.BrokerConfig{StoreTimeout: time.Minute})
				tab := serve(t, h1, b).visit()
				release := held(c)
				go b.Publish(t.Context(), event("slow"))
				synctest.Wait()
				go b.Publish(t.Context(), event("quick"))
				synctest.Wait()
				release(1)
				time.Sleep(time.Second)
				equal(t, "both", tab.all(), "retry: 3000|id: E-0", "id: E-1|data: slow", "id: E-2|data: quick")
				release(0)
				equal(t, "once", tab.all())
			})
		})
	}
}

func TestStore_ALostAnswerIsToldAndTheEventAppearsOnce(t *testing.T) {
	for _, name := range []string{"alone", "shared"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCloud()
				var store sse.ReplayStore = c
				if name == "alone" {
					store = alone{c}
				}
				b := onCloud(t, store, sse.BrokerConfig{})
				tab := serve(t, h1, b).visit()
				c.do(func() { c.fate = func() fate { return fate{lost: true} } })
				_, err := b.Publish(t.Context(), event("stored"))
				is(t, "lost", err, sse.ErrOutcomeUnknown)
				c.do(func() { c.fate = func() fate { return fate{never: true} } })
				_, err = b.Publish(t.Context(), event("not stored"))
				is(t, "never", err, sse.ErrOutcomeUnknown)
				c.do(func() { c.fate = func() fate { return fate{fail: errLink} } })
				_, err = b.Publish(t.Context(), event("refused"))
				is(t, "refused", err, sse.ErrStore)
				is(t, "refused", err, errLink)
				time.Sleep(time.Minute)
				equal(t, "what was stored", tab.all(), "retry: 3000|id: E-0", "id: E-1|data: stored")
			})
		})
	}
}

func TestStore_WhoHangsInItHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		b := onCloud(t, alone{c}, sse.BrokerConfig{StoreTimeout: time.Minute})
		s := serve(t, h1, b)
		tab := s.visit()
		publish(t, b, "before")
		hang := make(chan struct{})
		c.do(func() { c.hang = hang })
		published := make(chan error, 1)
		go func() {
			_, err := b.Publish(t.Context(), event("hangs"))
			published <- err
		}()
		equal(t, "delivery goes on", tab.all(), "retry: 3000|id: E-0", "id: E-1|data: before")
		equal(t, "and so does resuming", s.visit("Last-Event-Id", "e1-0").all(), "retry: 3000|id: E-0", "id: E-1|data: before")
		if st := b.Stats(); st.Subscribers != 2 {
			t.Errorf("%d subscribers, want 2", st.Subscribers)
		}
		close(hang)
		if err := <-published; err != nil {
			t.Error(err)
		}
		equal(t, "then", tab.all(), "id: E-2|data: hangs")
	})
}

func TestStore_ThatGoesBackBeginsANewEpoch(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		c := newCloud()
		one, two := onCloud(t, c, sse.BrokerConfig{}), onCloud(t, c, sse.BrokerConfig{})
		s := serve(t, w, one)
		tab, other := s.visit(), serve(t, w, two).visit()
		synctest.Wait()
		for i := range 5 {
			publish(t, one, fmt.Sprint(i+1))
		}
		tab.all()
		other.all()
		c.do(func() { c.rollBack(3) })
		time.Sleep(10 * time.Second)
		equal(t, "here", tab.all(), `id: E-0|event: resync|data: {"dropped":0,"reason":"restarted"}`)
		equal(t, "there", other.all(), `id: E-0|event: resync|data: {"dropped":0,"reason":"restarted"}`)
		if id := publish(t, two, "on"); id != "e2-1" {
			t.Errorf("published as %q, want e2-1", id)
		}
		equal(t, "goes on here", tab.all(), "id: E-1|data: on")
		equal(t, "goes on there", other.all(), "id: E-1|data: on")
		equal(t, "an old id", s.visit("Last-Event-Id", "e1-5").all(), "retry: 3000|id: E-5",
			`id: E-1|event: resync|data: {"dropped":0,"reason":"restarted"}`)
	})
}

func TestStore_ThatLosesAllAfterARestartIsNoticedByTheNextAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		b := onCloud(t, alone{c}, sse.BrokerConfig{})
		tab := serve(t, h1, b).visit()
		for i := range 5 {
			publish(t, b, fmt.Sprint(i+1))
		}
		tab.all()
		c.do(func() { c.rollBack(3) })
		_, err := b.Publish(t.Context(), event("given a position for the second time"))
		is(t, "publish", err, sse.ErrOutcomeUnknown)
		time.Sleep(10 * time.Second)
		equal(t, "told", tab.all(), `id: E-0|event: resync|data: {"dropped":0,"reason":"restarted"}`)
		publish(t, b, "on")
		equal(t, "on", tab.all(), "id: E-1|data: on")
	})
}

func TestStore_TellsOfAHole(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		c := newCloud()
		b := onCloud(t, c, sse.BrokerConfig{})
		s := serve(t, w, b)
		tab := s.visit()
		synctest.Wait()
		publish(t, b, "1")
		tab.all()
		c.do(func() { c.add(sse.Record{Hole: true}) })
		synctest.Wait()
		publish(t, b, "3")
		equal(t, "who is there", tab.all(), `id: E-2|event: resync|data: {"dropped":0,"reason":"hole"}`, "id: E-3|data: 3")
		equal(t, "who was away", s.visit("Last-Event-Id", "e1-0").all(), "retry: 3000|id: E-0", "id: E-1|data: 1",
			`id: E-3|event: resync|data: {"dropped":0,"reason":"hole"}`)
		equal(t, "who comes from behind it", s.visit("Last-Event-Id", "e1-2").all(), "retry: 3000|id: E-2", "id: E-3|data: 3")
	})
}

func TestStore_TellsWhatItHasForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		b := onCloud(t, c, sse.BrokerConfig{})
		for i := range 5 {
			publish(t, b, fmt.Sprint(i+1))
		}
		c.do(func() { c.trim(2) })
		_ = b.Close(t.Context())
		s := serve(t, h1, onCloud(t, c, sse.BrokerConfig{}))
		equal(t, "too old", s.visit("Last-Event-Id", "e1-2").all(), "retry: 3000|id: E-2",
			`id: E-5|event: resync|data: {"dropped":0,"reason":"expired"}`)
		equal(t, "just in time", s.visit("Last-Event-Id", "e1-3").all(), "retry: 3000|id: E-3", "id: E-4|data: 4", "id: E-5|data: 5")
	})
}

func TestStore_AnIDAheadOfThisProcessWaits(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		c := newCloud()
		b := onCloud(t, c, sse.BrokerConfig{})
		s := serve(t, w, b)
		c.do(func() { c.down = errLink; c.cut() }) // the process does not see what comes now
		time.Sleep(time.Second)
		c.do(func() {
			for i := range 3 {
				c.add(sse.Record{Event: event(fmt.Sprint(i + 1)), Topics: []string{""}})
			}
		})
		tab := s.visit("Last-Event-Id", "e1-2")
		equal(t, "waits", tab.all(), "retry: 3000|id: E-2")
		c.do(func() { c.down = nil })
		time.Sleep(time.Minute)
		equal(t, "goes on", tab.all(), "id: E-3|data: 3")
		equal(t, "ahead of the store", s.visit("Last-Event-Id", "e1-7").all(), "retry: 3000|id: E-7",
			`id: E-3|event: resync|data: {"dropped":0,"reason":"unknown_id"}`)
	})
}

func TestStore_DownIsAnErrorAndRecoversByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		b := onCloud(t, c, sse.BrokerConfig{})
		tab := serve(t, h1, b).visit()
		c.do(func() { c.down = errLink; c.cut() })
		_, err := b.Publish(t.Context(), event("lost"))
		is(t, "publish", err, sse.ErrStore)
		time.Sleep(time.Hour - time.Millisecond)
		c.do(func() { c.down = nil })
		publish(t, b, "on")
		equal(t, "stream", tab.all(), "retry: 3000|id: E-0", "id: E-1|data: on")
		if st := b.Stats(); st.StoreErrors == 0 || st.StoreAppends != 2 {
			t.Errorf("%d appends, %d errors, want 2 and more than none", st.StoreAppends, st.StoreErrors)
		}
	})
}

func TestStoreOptional_DeliversWithoutIDsAndLeavesAMark(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		c := newCloud()
		b := onCloud(t, c, sse.BrokerConfig{StoreOptional: true})
		s := serve(t, w, b)
		tab, away := s.visit(), s.visit()
		synctest.Wait()
		publish(t, b, "1")
		tab.all()
		away.all()
		away.leave()
		c.do(func() { c.down = errLink; c.cut() })
		if id := publish(t, b, "live"); id != "" {
			t.Errorf("id %q, want none", id)
		}
		var read []string
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e, err := range b.Events(ctx, "") {
				if err == nil {
					read = append(read, e.ID()+" "+e.Event().Data)
				}
			}
		}()
		synctest.Wait()
		publish(t, b, "more")
		equal(t, "without ids", tab.all(), "data: live", "data: more")
		c.do(func() { c.down = nil })
		time.Sleep(time.Minute)
		publish(t, b, "2")
		equal(t, "marked", tab.all(), `id: E-2|event: resync|data: {"dropped":0,"reason":"hole"}`, "id: E-3|data: 2")
		equal(t, "who was away", s.resume(away).all(), "retry: 3000|id: E-1",
			`id: E-3|event: resync|data: {"dropped":0,"reason":"hole"}`)
		cancel()
		<-done
		equal(t, "in this process", read, " more", "e1-3 2")
	})
}

func TestStoreOptional_StartsWithoutItsStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		c.do(func() { c.add(sse.Record{Event: event("old"), Topics: []string{""}}) })
		c.down = errLink
		_, err := sse.NewBroker(sse.BrokerConfig{ReplayStore: c, Logger: quiet})
		is(t, "needs it", err, sse.ErrStore)
		is(t, "needs it", err, errLink)
		b := onCloud(t, c, sse.BrokerConfig{StoreOptional: true})
		tab := serve(t, h1, b).visit()
		synctest.Wait()
		publish(t, b, "live")
		equal(t, "degraded", tab.all(), "retry: 3000|id: E-0", "data: live")
		c.do(func() { c.down = nil })
		time.Sleep(time.Minute)
		got := tab.all()
		if len(got) == 0 || !strings.Contains(got[0], `"reason":"restarted"`) {
			t.Errorf("got %q, want a resync", got)
		}
		publish(t, b, "on")
		equal(t, "on", tab.all(), "id: E-3|data: on") // behind the old one and the hole
	})
}

func TestNewBroker_RefusesStores(t *testing.T) {
	if _, err := sse.NewBroker(sse.BrokerConfig{ReplayStore: sse.NewRingBuffer(0)}); err == nil {
		t.Error("a RingBuffer was taken")
	}
	c := newCloud()
	c.nobody = true
	_, err := sse.NewBroker(sse.BrokerConfig{ReplayStore: alone{c}, StoreOptional: true})
	is(t, "in use", err, sse.ErrStreamInUse)
	if _, err := sse.NewBroker(sse.BrokerConfig{StoreTimeout: -1}); err == nil {
		t.Error("a negative StoreTimeout was taken")
	}
}

func TestStore_ManyThatMissedTheSameCostOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, missed = 1000, 1000
		c := newCloud()
		c.do(func() {
			for i := range missed {
				c.add(sse.Record{Event: event(fmt.Sprint(i + 1)), Topics: []string{""}})
			}
		})
		b := onCloud(t, c, sse.BrokerConfig{})
		synctest.Wait()
		before := c.reads
		var readers sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range clients {
			readers.Go(func() {
				n := 0
				for e, err := range b.Events(ctx, "e1-0") {
					if err != nil {
						t.Errorf("after %d events: %v", n, err)
						return
					}
					if n++; e.ID() != fmt.Sprintf("e1-%d", n) {
						t.Errorf("event %d has id %s", n, e.ID())
						return
					}
					if n == missed+1 {
						return
					}
				}
			})
		}
		synctest.Wait()
		publish(t, b, "live")
		readers.Wait()
		if reads := c.reads - before; reads != 1 {
			t.Errorf("%d reads, want 1", reads)
		}
		if st := b.Stats(); st.StoreReads != 1 || st.WaitingForStore != 0 {
			t.Errorf("counted %d reads and %d who wait, want 1 and 0", st.StoreReads, st.WaitingForStore)
		}
	})
}

func TestStore_ALongReplayIsNotALag(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		const missed = 5000
		c := newCloud()
		c.do(func() {
			for i := range missed {
				c.add(sse.Record{Event: event(fmt.Sprint(i + 1)), Topics: []string{"", "x"}})
				c.add(sse.Record{Event: event("other"), Topics: []string{"other"}})
			}
		})
		b := onCloud(t, c, sse.BrokerConfig{SubscriberBuffer: 2, History: 2})
		s := stream(t, w, sse.Config{Broker: b, Topics: on("", "x"), HeartbeatInterval: time.Hour})
		tab := s.visit("Last-Event-Id", "e1-0")
		got := tab.all()
		if len(got) != missed+1 || got[missed] != fmt.Sprintf("id: E-%d|data: %d", 2*missed-1, missed) {
			t.Fatalf("%d blocks, the last %q", len(got), got[len(got)-1])
		}
		publish(t, b, "live")
		equal(t, "live", tab.all(), fmt.Sprintf("id: E-%d|data: live", 2*missed+1))
	})
}

func TestStore_PrivateEventsKeepTheirPlaceInAReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		c.do(func() {
			for i := range 3 {
				c.add(sse.Record{Event: event(fmt.Sprint(i + 1)), Topics: []string{""}})
			}
		})
		b := onCloud(t, c, sse.BrokerConfig{StoreTimeout: time.Minute})
		clients := make(chan *sse.Client, 1)
		s := stream(t, h1, sse.Config{HeartbeatInterval: time.Hour, Handler: func(cl *sse.Client) {
			if _, err := b.Subscribe(cl); err != nil {
				t.Error(err)
			}
			clients <- cl
			<-cl.Context().Done()
		}})
		hang := make(chan struct{})
		synctest.Wait()
		c.do(func() { c.hang = hang })
		tab := s.visit("Last-Event-Id", "e1-1")
		cl := <-clients
		send(t, cl, "private")
		if got := tab.all(); strings.Contains(strings.Join(got, "\n"), "private") {
			t.Errorf("overtakes what is due: %q", got)
		}
		if st := b.Stats(); st.WaitingForStore != 1 {
			t.Errorf("%d wait, want 1", st.WaitingForStore)
		}
		close(hang)
		equal(t, "in its place", tab.all(), "id: E-2|data: 2", "id: E-3|data: 3", "data: private")
		cl.Close()
		equal(t, "closed", tab.rest())
	})
}

func TestStore_CloseEndsWhoWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		c.do(func() { c.add(sse.Record{Event: event("1"), Topics: []string{""}}) })
		b := onCloud(t, c, sse.BrokerConfig{})
		s := serve(t, h1, b)
		synctest.Wait()
		c.do(func() { c.down = errLink })
		tab := s.visit("Last-Event-Id", "e1-0")
		synctest.Wait()
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		equal(t, "its place is what it came with", tab.rest(), "retry: 3000|id: E-0", "retry: 3000")
	})
}

func TestStore_ThatIsDownForTooLongExpiresAReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		c.do(func() { c.add(sse.Record{Event: event("1"), Topics: []string{""}}) })
		b := onCloud(t, c, sse.BrokerConfig{})
		s := serve(t, h1, b)
		synctest.Wait()
		c.do(func() { c.down = errLink })
		tab := s.visit("Last-Event-Id", "e1-0")
		time.Sleep(30 * time.Second)
		equal(t, "waits", tab.all(), "retry: 3000|id: E-0")
		time.Sleep(time.Minute)
		equal(t, "goes on", tab.all(), `id: E-1|event: resync|data: {"dropped":0,"reason":"expired"}`)
	})
}

func TestStore_MemoryKeepsWhatIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud()
		store := newLater(c)
		b := onCloud(t, store, sse.BrokerConfig{SubscriberBuffer: 2, History: 2, HistoryBytes: 2000, MaxLagBytes: 1000})
		s := serve(t, h1, b)
		large := strings.Repeat("x", 150)
		n := 0
		var err error
		for ; err == nil && n < 100; n++ {
			_, err = b.Publish(t.Context(), event(large))
		}
		is(t, "too far behind", err, sse.ErrStoreBehind)
		if n < 5 {
			t.Fatalf("only %d events were taken", n)
		}
		tab := s.visit("Last-Event-Id", "e1-0")
		if got := tab.all(); len(got) != n {
			t.Errorf("resumed with %d blocks, want %d events behind the opening", len(got), n-1)
		}
		store.write(100)
		publish(t, b, "on")
		if got := tab.all(); len(got) != 1 || got[0] != fmt.Sprintf("id: E-%d|data: on", n) {
			t.Errorf("got %q", got)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if store.l.flushes != 1 || len(store.l.waiting) > 0 {
			t.Errorf("closed with %d flushes and %d records not stored", store.l.flushes, len(store.l.waiting))
		}
	})
}

func TestAppend_ReachesAHistoryWhoeverIsThere(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		store := sse.NewRingBuffer(0)
		here, clients := diary(t, w, store)
		there, _ := diary(t, w, store)
		tab := here.visitAt("/?user=ann")
		<-clients
		say := func(data string) string {
			t.Helper()
			p, err := sse.Append(t.Context(), store, "ann", event(data))
			if err != nil {
				t.Fatal(err)
			}
			return p.ID()
		}
		say("The")
		equal(t, "there", tab.all(), "retry: 3000|id: E-0", "id: E-1|data: The")
		tab.leave()
		synctest.Wait()
		say("answer") // nobody is there
		back := there.visitAt("/?user=ann", "Last-Event-Id", tab.last())
		synctest.Wait()
		if id := say("is"); !strings.HasSuffix(id, "-3") {
			t.Errorf("id %q, want the third", id)
		}
		equal(t, "on another process", back.all(), "retry: 3000|id: E-1", "id: E-2|data: answer", "id: E-3|data: is")
	})
}

func TestAppend_RefusesWhatNobodyCouldRead(t *testing.T) {
	ctx := t.Context()
	_, err := sse.Append(ctx, alone{newCloud()}, "ann", event("x"))
	is(t, "can't be followed", err, errors.ErrUnsupported)
	ring := sse.NewRingBuffer(0)
	_, err = sse.Append(ctx, ring, "ann", sse.Event{ID: "1"})
	is(t, "own id", err, sse.ErrIDReserved)
	if _, err = sse.Append(ctx, ring, "", event("x")); err == nil {
		t.Error("an empty key was taken")
	}
	c := newCloud()
	c.down = errLink
	_, err = sse.Append(ctx, c, "ann", event("x"))
	is(t, "down", err, sse.ErrStore)
	c.down, c.fate = nil, func() fate { return fate{lost: true} }
	_, err = sse.Append(ctx, c, "ann", event("x"))
	is(t, "lost", err, sse.ErrOutcomeUnknown)
}
