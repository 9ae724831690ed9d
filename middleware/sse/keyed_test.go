package sse_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/celeristest"
	"github.com/goceleris/celeris/middleware/sse"
)

// diary serves private histories; the query names whose.
func diary(t *testing.T, w way, store sse.ReplayStore) (*site, <-chan *sse.Client) {
	t.Helper()
	return chat(t, w, sse.Config{ReplayStore: store, ReplayKey: func(c *celeris.Context) (string, error) {
		if c.Query("user") == "" {
			return "", celeris.NewHTTPError(401, "no user")
		}
		return c.Query("user"), nil
	}})
}

func send(t *testing.T, c *sse.Client, data string) {
	t.Helper()
	if err := c.Send(sse.Event{Data: data}); err != nil {
		t.Errorf("send %q: %v", data, err)
	}
}

func TestReplayKey_ResumesAPrivateHistory(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		s, clients := diary(t, w, sse.NewRingBuffer(0))
		tab := s.visitAt("/?user=ann")
		c := <-clients
		for i := range 3 {
			send(t, c, fmt.Sprint(i+1))
		}
		equal(t, "live", tab.all(), "retry: 3000|id: E-0", "id: E-1|data: 1", "id: E-2|data: 2", "id: E-3|data: 3")
		second := strings.Replace(tab.last(), "-3", "-1", 1)
		equal(t, "beside it", s.visitAt("/?user=ann", "Last-Event-Id", second).all(),
			"retry: 3000|id: E-1", "id: E-2|data: 2", "id: E-3|data: 3")
		if res, _ := s.status("GET", "/"); res.StatusCode != 401 {
			t.Errorf("without a key: %d, want 401", res.StatusCode)
		}
	})
}

func TestReplayKey_KeysNeverMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, clients := diary(t, h1, sse.NewRingBuffer(0))
		ann := s.visitAt("/?user=ann")
		annClient := <-clients
		bob := s.visitAt("/?user=bob")
		bobClient := <-clients
		synctest.Wait()
		send(t, annClient, "for ann")
		send(t, bobClient, "for bob")
		equal(t, "ann", ann.all(), "retry: 3000|id: E-0", "id: E-1|data: for ann")
		equal(t, "bob", bob.all(), "retry: 3000|id: E-0", "id: E-1|data: for bob")
		// Bob with Ann's position learns nothing of hers.
		equal(t, "foreign position", s.visitAt("/?user=bob", "Last-Event-Id", strings.Replace(ann.last(), "-1", "-0", 1)).all(),
			"retry: 3000|id: E-0", `id: E-1|event: resync|data: {"dropped":0,"reason":"restarted"}`)
	})
}

func TestReplayKey_ReachesAllClientsOfAKeyAndIsStoredOnce(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		store := sse.NewRingBuffer(0)
		s, clients := diary(t, w, store)
		one, two := s.visitAt("/?user=ann"), s.visitAt("/?user=ann")
		a, b := <-clients, <-clients
		synctest.Wait()
		send(t, a, "from one")
		send(t, b, "from the other")
		p, err := sse.Prepare(sse.Event{Event: "ready", Data: "made"})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.SendPrepared(p); err != nil {
			t.Error(err)
		}
		for _, tab := range []*tab{one, two} {
			equal(t, "tab", tab.all(), "retry: 3000|id: E-0", "id: E-1|data: from one", "id: E-2|data: from the other",
				"id: E-3|event: ready|data: made")
		}
		if ids, err := idsSince(t, store, "ann", ""); len(ids) != 3 || err != nil {
			t.Errorf("stored %q, %v; want three records", ids, err)
		}
	})
}

func TestReplayKey_GoesOnAfterAllClientsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := sse.NewRingBuffer(3)
		s, clients := diary(t, h1, store)
		tab := s.visitAt("/?user=ann")
		c := <-clients
		send(t, c, "1")
		tab.all()
		first := tab.last()
		tab.leave()
		synctest.Wait()
		is(t, "send after the end", c.Send(sse.Event{Data: "lost"}), sse.ErrClientClosed)
		appendEvents(t, store, "ann", 1) // by another process, say
		tab = s.visitAt("/?user=ann", "Last-Event-Id", first)
		send(t, <-clients, "3")
		equal(t, "resumed", tab.all(), "retry: 3000|id: E-1", "id: E-2|data: 0", "id: E-3|data: 3")
		tab.leave()
		synctest.Wait()
		appendEvents(t, store, "ann", 3)
		equal(t, "too late", s.visitAt("/?user=ann", "Last-Event-Id", first).all(), "retry: 3000|id: E-1",
			`id: E-6|event: resync|data: {"dropped":0,"reason":"expired"}`)
		equal(t, "just in time", s.visitAt("/?user=ann", "Last-Event-Id", strings.Replace(first, "-1", "-3", 1)).all(),
			"retry: 3000|id: E-3", "id: E-4|data: 0", "id: E-5|data: 1", "id: E-6|data: 2")
	})
}

func TestReplayKey_ReadsWhatOthersAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := sse.NewRingBuffer(0)
		s, clients := diary(t, h1, store)
		tab := s.visitAt("/?user=ann")
		c := <-clients
		appendEvents(t, store, "ann", 2)
		send(t, c, "mine")
		equal(t, "stream", tab.all(), "retry: 3000|id: E-0", "id: E-1|data: 0", "id: E-2|data: 1", "id: E-3|data: mine")
	})
}

// faulty is a store that answers with errors, or late.
type faulty struct {
	*sse.RingBuffer
	mu    sync.Mutex
	fail  error
	block chan struct{} // Open waits for it
}

func (f *faulty) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

func (f *faulty) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fail
}

func (f *faulty) Open(ctx context.Context, stream string) (string, uint64, error) {
	if f.block != nil {
		select {
		case <-f.block:
		case <-ctx.Done():
			return "", 0, ctx.Err()
		}
	}
	if err := f.err(); err != nil {
		return "", 0, err
	}
	return f.RingBuffer.Open(ctx, stream)
}

func (f *faulty) Append(ctx context.Context, stream string, r sse.Record) (string, string, error) {
	if err := f.err(); err != nil {
		return "", "", err
	}
	return f.RingBuffer.Append(ctx, stream, r)
}

func (f *faulty) Since(ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
	if err := f.err(); err != nil {
		return func(yield func(sse.Record, error) bool) { yield(sse.Record{}, err) }
	}
	return f.RingBuffer.Since(ctx, stream, lastID)
}

var errDisk = errors.New("disk is full")

func TestReplayKey_StoreErrorsReachTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{RingBuffer: sse.NewRingBuffer(0)}
		s, clients := diary(t, h1, store)
		tab := s.visitAt("/?user=ann")
		c := <-clients
		store.set(errDisk)
		is(t, "send", c.Send(sse.Event{Data: "x"}), errDisk)
		if res, _ := s.status("GET", "/?user=bob"); res.StatusCode != 500 {
			t.Errorf("status %d, want 500", res.StatusCode)
		}
		store.set(nil)
		send(t, c, "1")
		equal(t, "stream", tab.all(), "retry: 3000|id: E-0", "id: E-1|data: 1")
		equal(t, "other key", s.visitAt("/?user=bob").all(), "retry: 3000|id: E-0")
	})
}

func TestReplayKey_AStoreThatPanicsSpoilsNoOtherClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := celeris.New(celeris.Config{Logger: quiet})
		app.GET("/", sse.New(sse.Config{
			Handler:     func(c *sse.Client) { <-c.Context().Done() },
			ReplayStore: &panicky{RingBuffer: sse.NewRingBuffer(0)},
			ReplayKey:   func(*celeris.Context) (string, error) { return "ann", nil },
		}))
		site := celeristest.Serve(t, app, nil)
		if res, err := site.Client().Get(site.URL("/")); err == nil {
			res.Body.Close()
			t.Errorf("the first client got %s, want none: its store panicked", res.Status)
		}
		site.Stream(t, "/", nil) // fails t if no stream begins
	})
}

// panicky is a store that panics the first time.
type panicky struct {
	*sse.RingBuffer
	opened atomic.Bool
}

func (p *panicky) Open(ctx context.Context, stream string) (string, uint64, error) {
	if !p.opened.Swap(true) {
		panic("of a store")
	}
	return p.RingBuffer.Open(ctx, stream)
}

func TestReplayKey_OneClientThatGivesUpSpoilsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{RingBuffer: sse.NewRingBuffer(0), block: make(chan struct{})}
		s, _ := diary(t, h1, store)
		conn, err := s.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("GET /?user=ann HTTP/1.1\r\nHost: example.com\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // it reads the history
		opened := make(chan []string, 1)
		go func() { opened <- s.visitAt("/?user=ann").all() }()
		time.Sleep(time.Second) // the other waits for the same
		conn.Close()
		time.Sleep(time.Second)
		close(store.block)
		equal(t, "the other", <-opened, "retry: 3000|id: E-0")
	})
}

func TestReplayKey_TakesEventsAsLargeAsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large := strings.Repeat("x", 2<<20)
		clients := make(chan *sse.Client, 2)
		s := stream(t, h1, sse.Config{
			MaxEventBytes: 4 << 20, ReplayStore: sse.NewRingBuffer(0),
			ReplayKey: func(*celeris.Context) (string, error) { return "ann", nil },
			Handler: func(c *sse.Client) {
				clients <- c
				<-c.Context().Done()
			},
		})
		tab := s.visit()
		c := <-clients
		synctest.Wait()
		send(t, c, large)
		equal(t, "stream", tab.all(), "retry: 3000|id: E-0", "id: E-1|data: "+large)
		position := strings.Replace(tab.last(), "-1", "-0", 1)
		tab.leave() // the next one's history is read from the store
		synctest.Wait()
		equal(t, "again", s.visit("Last-Event-Id", position).all(), "retry: 3000|id: E-0", "id: E-1|data: "+large)
	})
}

func TestReplayKey_EmptyKeyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, name := range []string{"", "\xff"} {
			s := stream(t, h1, sse.Config{
				ReplayStore: sse.NewRingBuffer(0), ReplayKey: func(*celeris.Context) (string, error) { return name, nil },
				Handler: func(*sse.Client) { t.Errorf("%q is a key", name) },
			})
			if res, _ := s.status("GET", "/"); res.StatusCode != 500 {
				t.Errorf("%q: status %d, want 500", name, res.StatusCode)
			}
		}
	})
}

// torn has a hole where its second record was.
type torn struct{ *sse.RingBuffer }

func (s torn) Since(ctx context.Context, stream, lastID string) iter.Seq2[sse.Record, error] {
	return func(yield func(sse.Record, error) bool) {
		for r, err := range s.RingBuffer.Since(ctx, stream, lastID) {
			if strings.HasSuffix(r.ID, "-2") {
				r = sse.Record{ID: r.ID, Hole: true}
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func TestReplayKey_TellsOfAHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := torn{sse.NewRingBuffer(0)}
		ids := appendEvents(t, store, "ann", 3)
		s, _ := diary(t, h1, store)
		equal(t, "from before it", s.visitAt("/?user=ann", "Last-Event-Id", ids[0]).all(), "retry: 3000|id: E-1",
			`id: E-3|event: resync|data: {"dropped":0,"reason":"hole"}`)
		equal(t, "from behind it", s.visitAt("/?user=ann", "Last-Event-Id", ids[1]).all(), "retry: 3000|id: E-2", "id: E-3|data: 2")
	})
}
