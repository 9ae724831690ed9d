package sse_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/goceleris/celeris/internal/testserver"
	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/sse/redislog"
	"github.com/goceleris/celeris/middleware/store"
)

// durablePatience bounds every wait for something that a real store has to bring about.
const durablePatience = time.Minute

// durable is a store of a process on a real server, and what ends it.
type durable struct {
	sse.ReplayStore
	end func(ctx context.Context) error
}

func onRedisLog(t *testing.T, addr string) durable {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr})
	l, err := redislog.New(redislog.Config{Client: client, Prefix: "app:"})
	if err != nil {
		t.Fatal(err)
	}
	return durable{l, func(ctx context.Context) error { return errors.Join(l.Close(ctx), client.Close()) }}
}

func onKV(t *testing.T, kv store.KV, async bool) durable {
	t.Helper()
	s, err := sse.NewKVReplayStore(sse.KVReplayStoreConfig{
		KV: kv, AsyncAppend: async, FollowInterval: 5 * time.Millisecond, Timeout: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return durable{s, s.Close}
}

// durables start a server and return what opens a process's store on it.
func durables() map[string]func(t *testing.T) (open func(t *testing.T) durable) {
	all := map[string]func(t *testing.T) func(t *testing.T) durable{
		"redislog": func(t *testing.T) func(t *testing.T) durable {
			server := testserver.Redis(t)
			return func(t *testing.T) durable { return onRedisLog(t, server.Addr) }
		},
	}
	for name, start := range serverKVs {
		for _, async := range []bool{false, true} {
			all[fmt.Sprintf("KV on %s, async=%t", name, async)] = func(t *testing.T) func(t *testing.T) durable {
				connect := start(t)
				return func(t *testing.T) durable { return onKV(t, connect(t), async) }
			}
		}
	}
	return all
}

// listener is a reader of a broker's events.
type listener struct {
	t    *testing.T
	stop func()

	mu    sync.Mutex // guards what follows
	got   []string   // data, or "resync: " and the reason
	ids   []string
	ended error
}

// listen reads from lastID on until stop or the end of the test.
func listen(t *testing.T, b *sse.Broker, lastID string, topics ...string) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &listener{t: t}
	var reading sync.WaitGroup
	l.stop = func() { cancel(); reading.Wait() }
	t.Cleanup(l.stop)
	reading.Go(func() {
		for p, err := range b.Events(ctx, lastID, topics...) {
			l.mu.Lock()
			if resync, ok := errors.AsType[*sse.ResyncError](err); ok {
				l.got, l.ids = append(l.got, "resync: "+resync.Reason), append(l.ids, resync.ID)
			} else if err != nil {
				l.ended = err
			} else {
				l.got, l.ids = append(l.got, p.Event().Data), append(l.ids, p.ID())
			}
			l.mu.Unlock()
		}
	})
	return l
}

func (l *listener) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

// at is the position that the reader has come to.
func (l *listener) at() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ids) == 0 {
		return 0
	}
	return positionOf(l.t, l.ids[len(l.ids)-1])
}

func positionOf(t *testing.T, id string) uint64 {
	t.Helper()
	_, p, err := sse.ParseID(id)
	if err != nil {
		t.Fatalf("%q is no id", id)
	}
	return p
}

// until waits for something to arrive, and returns all that has.
func (l *listener) until(what string) []string {
	l.t.Helper()
	eventually(l.t, fmt.Sprintf("%q arrives", what), func() bool { return slices.Contains(l.all(), what) })
	return l.all()
}

// eventually waits for a state of the world outside of this process.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(durablePatience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}

// numbers are what publishers say, from a number up to another.
func numbers(from, to int) (data []string) {
	for n := from; n <= to; n++ {
		data = append(data, fmt.Sprint(n))
	}
	return data
}

// TestDurable_ABrokerRestarts resumes readers on a broker that has nothing in memory, on every store.
func TestDurable_ABrokerRestarts(t *testing.T) {
	for name, start := range durables() {
		t.Run(name, func(t *testing.T) {
			open := start(t)
			var ids []string
			for life := range 3 {
				s := open(t)
				b, err := sse.NewBroker(sse.BrokerConfig{ReplayStore: s, Logger: quiet})
				if err != nil {
					t.Fatal(err)
				}
				var readers []*listener
				for _, id := range ids {
					readers = append(readers, listen(t, b, id))
				}
				for n := range 10 {
					ids = append(ids, publish(t, b, fmt.Sprint(10*life+n)))
				}
				last := 10*life + 9
				for i, r := range readers {
					equal(t, fmt.Sprintf("life %d, from event %d", life, i), r.until(fmt.Sprint(last)), numbers(i+1, last)...)
				}
				if st := b.Stats(); st.StoreErrors != 0 || st.Epochs != 0 {
					t.Errorf("life %d: %+v, want neither failures nor another epoch", life, st)
				}
				if err := errors.Join(b.Close(t.Context()), s.end(t.Context())); err != nil {
					t.Fatalf("life %d: %v", life, err)
				}
			}
			if !slices.IsSortedFunc(ids, byPosition(t)) {
				t.Errorf("ids are out of order: %q", ids)
			}
		})
	}
}

func byPosition(t *testing.T) func(a, b string) int {
	return func(a, b string) int {
		epoch, p, err := sse.ParseID(a)
		other, q, err2 := sse.ParseID(b)
		if err != nil || err2 != nil || epoch != other {
			t.Fatalf("%q and %q are not of one epoch", a, b)
		}
		return int(int64(p) - int64(q))
	}
}

// head is where a broker's stream is in its store.
func head(t *testing.T, s sse.ReplayStore) string {
	t.Helper()
	epoch, position, err := s.Open(t.Context(), sse.DefaultStream)
	if err != nil {
		t.Fatal(err)
	}
	return sse.FormatID(epoch, position)
}

// TestDurable_ProcessesShare has two brokers publish at the same time, where the store lets them; elsewhere the second one
// is refused.
func TestDurable_ProcessesShare(t *testing.T) {
	for name, start := range durables() {
		t.Run(name, func(t *testing.T) {
			open := start(t)
			one, two := open(t), open(t)
			t.Cleanup(func() { _ = errors.Join(one.end(context.Background()), two.end(context.Background())) })
			b1 := newBroker(t, sse.BrokerConfig{ReplayStore: one.ReplayStore})
			if _, ok := one.ReplayStore.(sse.Follower); !ok {
				if b, err := sse.NewBroker(sse.BrokerConfig{ReplayStore: two.ReplayStore, StoreOptional: true, Logger: quiet}); !errors.Is(err, sse.ErrStreamInUse) {
					t.Errorf("a second broker = %v, %v, want ErrStreamInUse", b, err)
				}
				return
			}
			b2 := newBroker(t, sse.BrokerConfig{ReplayStore: two.ReplayStore})
			here, there := listen(t, b1, head(t, one)), listen(t, b2, head(t, two))
			first := publish(t, b1, "first")
			here.until("first")
			there.until("first")
			const each, publishers = 40, 3
			var publishing sync.WaitGroup
			for i, b := range []*sse.Broker{b1, b2} {
				for p := range publishers {
					publishing.Go(func() {
						for n := range each {
							publish(t, b, fmt.Sprintf("%d.%d.%d", i, p, n))
						}
					})
				}
			}
			publishing.Wait()
			publish(t, b2, "last")
			got := here.until("last")
			equal(t, "there", there.until("last"), got...)
			hopped := listen(t, b2, first)
			equal(t, "after a hop", hopped.until("last"), got[slices.Index(got, "first")+1:]...)
			seen := make(map[string]int)
			for _, data := range got {
				seen[data]++
				if strings.HasPrefix(data, "resync") || seen[data] > 1 {
					t.Errorf("%q came %d times", data, seen[data])
				}
			}
			if want := 2 + 2*each*publishers; len(got) != want {
				t.Errorf("%d events came, want %d", len(got), want)
			}
		})
	}
}

// TestDurable_AsyncAppendLetsMemoryForget publishes far more than memory keeps: what is stored is forgotten, and served from
// the store.
func TestDurable_AsyncAppendLetsMemoryForget(t *testing.T) {
	kv := store.NewMemoryKV(store.MemoryConfig{})
	t.Cleanup(func() { kv.Close() })
	s, err := sse.NewKVReplayStore(sse.KVReplayStoreConfig{KV: kv, AsyncAppend: true, MaxEvents: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	b := newBroker(t, sse.BrokerConfig{ReplayStore: s, History: 16, SubscriberBuffer: 16, HistoryAge: time.Millisecond})
	const events = 3000
	first := publish(t, b, "0")
	for n := 1; n <= events; n++ {
		for {
			_, err := b.Publish(t.Context(), event(fmt.Sprint(n)))
			if err == nil {
				break
			}
			is(t, "a publisher that is faster than the store", err, sse.ErrStoreBehind)
			if err := s.(sse.Flusher).Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.(sse.Flusher).Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	epoch, head, err := s.Open(t.Context(), sse.DefaultStream)
	if stored := s.(sse.Flusher).Stored(sse.DefaultStream); err != nil || stored != head {
		t.Errorf("with nothing under way %d is stored, want the head %d of %s (%v)", stored, head, epoch, err)
	}
	publish(t, b, fmt.Sprint(events+1)) // memory is tidied by whoever publishes
	if st := b.Stats(); st.HistoryEvents > events/2 {
		t.Errorf("%d events are in memory, though all are stored and 16 wanted", st.HistoryEvents)
	}
	equal(t, "from the beginning", listen(t, b, first).until(fmt.Sprint(events+1)), numbers(1, events+1)...)
	if st := b.Stats(); st.StoreReads == 0 || st.Resyncs != 0 {
		t.Errorf("%d reads of the store and %d resyncs, want some and none", st.StoreReads, st.Resyncs)
	}
}
