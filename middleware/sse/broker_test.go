package sse_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

func TestBroker_DeliversOnceToEveryTopicsReaders(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		both := stream(t, w, sse.Config{Broker: b, Topics: on("a", "b", "a")}).visit()
		one := stream(t, w, sse.Config{Broker: b, Topics: on("b")}).visit()
		none := stream(t, w, sse.Config{Broker: b}).visit()
		synctest.Wait()
		publish(t, b, "1", "a", "b", "a")
		publish(t, b, "2", "a")
		publish(t, b, "3")
		equal(t, "both topics", both.all(), "retry: 3000|id: E-0", "id: E-1|data: 1", "id: E-2|data: 2")
		equal(t, "one topic", one.all(), "retry: 3000|id: E-0", "id: E-1|data: 1")
		equal(t, "default topic", none.all(), "retry: 3000|id: E-0", "id: E-3|data: 3")
	})
}

func TestBroker_PublishPreparedGivesItsOwnIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newBroker(t, sse.BrokerConfig{}), newBroker(t, sse.BrokerConfig{})
		tab := stream(t, h1, sse.Config{Broker: one}).visit()
		p, err := sse.Prepare(sse.Event{Event: "e", Data: "x", Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, b := range []*sse.Broker{one, one, two} {
			q, err := b.PublishPrepared(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, q.ID())
			if e := q.Event(); e.ID != q.ID() || e.Event != "e" || e.Data != "x" || q.Len() != p.Len() || &q.Bytes()[0] != &p.Bytes()[0] {
				t.Errorf("published %+v, %d bytes", e, q.Len())
			}
		}
		if p.ID() != "" || ids[0] == ids[1] || ids[0] == ids[2] || !strings.HasSuffix(ids[1], "-2") || !strings.HasSuffix(ids[2], "-1") {
			t.Errorf("ids %q, of what was prepared %q", ids, p.ID())
		}
		equal(t, "stream", tab.all(), "retry: 3000|id: E-0", "id: E-1|event: e|data: x", "id: E-2|event: e|data: x")
	})
}

func TestBroker_RefusesWhatCannotBePublished(t *testing.T) {
	b := newBroker(t, sse.BrokerConfig{MaxEventBytes: 20, MaxTopics: 1})
	for _, tt := range []struct {
		name  string
		event sse.Event
		want  string
	}{
		{"NUL in the type", sse.Event{Event: "\x00"}, "event"},
		{"line end in the type", sse.Event{Event: "a\nb"}, "event"},
		{"invalid UTF-8 in the type", sse.Event{Event: "\xff"}, "event"},
		{"invalid UTF-8 in the data", sse.Event{Data: "\xff"}, "data"},
		{"invalid UTF-8 in the key", sse.Event{Key: "\xff"}, "key"},
		{"retry below a millisecond", sse.Event{Retry: 1}, "retry"},
	} {
		_, err := b.Publish(t.Context(), tt.event)
		if e, ok := errors.AsType[*sse.EncodeError](err); !ok || e.Field != tt.want {
			t.Errorf("%s: error %v, want one about %q", tt.name, err, tt.want)
		}
	}
	if _, err := b.Publish(t.Context(), sse.Event{Data: "123456789012"}); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	for _, data := range []string{"1234567890123", "1\n2\n3\n4", strings.Repeat("x", 21)} {
		_, err := b.Publish(t.Context(), sse.Event{Data: data})
		is(t, "above the limit", err, sse.ErrEventTooLarge)
	}
	_, err := b.Publish(t.Context(), sse.Event{}, "a", "b")
	is(t, "too many topics", err, sse.ErrTooManyTopics)
	if got := b.Stats(); got.Published != 1 || got.HistoryEvents > 1 {
		t.Errorf("%+v, want one published", got)
	}
}

func TestBroker_CarriesEveryText(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{MaxEventBytes: 11 << 20})
		s := stream(t, w, sse.Config{Broker: b})
		res, _ := s.do("GET", "/")
		defer res.Body.Close()
		large := strings.Repeat("0123456789abcdef", 10<<16)
		events := []sse.Event{
			{}, {Data: "\n"}, {Data: "\x00"}, {Data: " leading"}, {Data: ": colon"}, {Data: "a\n\nb\n"}, {Event: " ü", Data: "😀"},
			{Data: large, Retry: time.Second}, {Event: "after"},
		}
		for _, e := range events {
			if _, err := b.Publish(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		i, r := 0, sse.NewReader(res.Body, &sse.ReaderOptions{MaxEventBytes: 12 << 20})
		for ; i < len(events); i++ {
			e, err := r.Next()
			if err != nil {
				t.Fatalf("event %d: %v", i, err)
			}
			if e.Data != events[i].Data || e.Event != events[i].Event || !strings.HasSuffix(e.ID, fmt.Sprint("-", i+1)) {
				t.Errorf("event %d: %d bytes of %q, id %s", i, len(e.Data), e.Event, e.ID)
			}
		}
	})
}

func TestBroker_AnswersEveryLastEventID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{History: 4, SubscriberBuffer: 4})
		s := stream(t, h1, sse.Config{Broker: b})
		var ids []string
		for i := range 10 {
			ids = append(ids, publish(t, b, fmt.Sprint(i+1)))
		}
		epoch, _, _ := strings.Cut(ids[0], "-")
		tail := func(from int) []string {
			var all []string
			for i := from; i <= 10; i++ {
				all = append(all, fmt.Sprintf("id: E-%d|data: %[1]d", i))
			}
			return all
		}
		resync := func(reason string) []string {
			return []string{fmt.Sprintf(`id: E-10|event: resync|data: {"dropped":0,"reason":%q}`, reason)}
		}
		for _, tt := range []struct {
			name, target string
			header       string
			want         []string
		}{
			{"none", "/", "", nil},
			{"newest", "/", ids[9], nil},
			{"header", "/", ids[7], tail(9)},
			{"oldest that is kept", "/", ids[5], tail(7)},
			{"one too old", "/", ids[4], resync("expired")},
			{"before the first", "/", epoch + "-0", resync("expired")},
			{"query", "/?lastEventId=" + ids[7], "", tail(9)},
			{"query with hyphens", "/?last-event-id=" + ids[7], "", tail(9)},
			{"query in capitals", "/?LASTEVENTID=" + ids[7], "", tail(9)},
			{"empty query", "/?lastEventId=", "", nil},
			{"header wins", "/?lastEventId=" + ids[6], ids[8], tail(10)},
			{"another epoch", "/", "abcdefgh-7", resync("restarted")},
			{"future", "/", epoch + "-11", resync("unknown_id")},
			{"far future", "/", epoch + "-18446744073709551615", resync("unknown_id")},
			{"overflow", "/", epoch + "-18446744073709551616", resync("unknown_id")},
			{"number", "/", "7", resync("unknown_id")},
			{"leading zero", "/", epoch + "-07", resync("unknown_id")},
			{"sign", "/", epoch + "-+7", resync("unknown_id")},
			{"no number", "/", epoch + "-", resync("unknown_id")},
			{"no epoch", "/", "-7", resync("unknown_id")},
			{"text", "/", "hello", resync("unknown_id")},
		} {
			var header []string
			if tt.header != "" {
				header = []string{"Last-Event-Id", tt.header}
			}
			tab := s.visitAt(tt.target, header...)
			got := tab.all()
			if len(got) == 0 || !strings.HasPrefix(got[0], "retry: 3000") {
				t.Errorf("%s: %q has no opening", tt.name, got)
				continue
			}
			equal(t, tt.name, got[1:], tt.want...)
			tab.leave()
		}
	})
}

func TestBroker_ResumesWithoutGapOrDuplicate(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		s := stream(t, w, sse.Config{Broker: b})
		tab := s.visit()
		var got []string
		n := 0
		for range 20 {
			for range 7 { // some while the client is here, some while it is away
				n++
				publish(t, b, fmt.Sprint(n))
				if n%10 == 3 {
					got = append(got, tab.all()[1:]...)
					tab.leave()
					again := s.resume(tab)
					tab = again
				}
			}
		}
		got = append(got, tab.all()[1:]...)
		var want []string
		for i := range n {
			want = append(want, fmt.Sprintf("id: E-%d|data: %[1]d", i+1))
		}
		equal(t, "all tabs", got, want...)
	})
}

func TestBroker_KnowsItsClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		s := stream(t, h1, sse.Config{Broker: b, Topics: on("a", "b"), OnConnect: func(c *sse.Client) error {
			c.Set("user", c.Request().URL.Query().Get("user"))
			return nil
		}})
		ann := s.visitAt("/?user=ann")
		bob := s.visitAt("/?user=bob")
		users := func() (names string) {
			for c := range b.Clients("a") {
				v, _ := c.Get("user")
				names += v.(string)
			}
			return names
		}
		if got := users(); b.SubscriberCount("a") != 2 || b.SubscriberCount("c") != 0 || got != "annbob" && got != "bobann" {
			t.Errorf("%d and %d subscribers, clients %q", b.SubscriberCount("a"), b.SubscriberCount("c"), got)
		}
		for range b.Clients("a") {
			break
		}
		n, err := b.Disconnect(func(c *sse.Client) bool { v, _ := c.Get("user"); return v == "bob" }, errBanned, nil)
		if n != 1 || err != nil {
			t.Errorf("Disconnect = %d, %v", n, err)
		}
		equal(t, "without farewell", bob.rest(), "retry: 3000|id: E-0")
		publish(t, b, "x", "a")
		equal(t, "the other", ann.all(), "retry: 3000|id: E-0", "id: E-1|data: x")
		if got := users(); got != "ann" || b.SubscriberCount("a") != 1 {
			t.Errorf("clients %q of %d, want ann", got, b.SubscriberCount("a"))
		}
	})
}

func TestBroker_StatsAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, sse.BrokerConfig{})
		s := stream(t, h1, sse.Config{Broker: b, Topics: on("a")})
		one, two := s.visit(), s.visit()
		synctest.Wait()
		for range 3 {
			publish(t, b, "x", "a")
		}
		publish(t, b, "y", "b")
		one.all()
		two.all()
		got := b.Stats()
		want := sse.BrokerStats{
			Subscribers: 2, Topics: 2, HistoryEvents: 4, HistoryBytes: got.HistoryBytes, Published: 4, Delivered: 6,
			DeliveredBytes: 6 * int64(len("id: xxxxxxxx-1\ndata: x\n\n")),
		}
		if got != want || got.HistoryBytes <= 0 {
			t.Errorf("got %+v, want %+v", got, want)
		}
		one.leave()
		synctest.Wait()
		s.visit("Last-Event-Id", "nonsense").all()
		if got := b.Stats(); got.Subscribers != 2 || got.Resyncs != 1 {
			t.Errorf("got %+v, want two subscribers, one resync", got)
		}
	})
}

func TestBroker_CloseSaysFarewellAndRefuses(t *testing.T) {
	inBubbles(t, func(t *testing.T, w way) {
		b := newBroker(t, sse.BrokerConfig{})
		s := stream(t, w, sse.Config{Broker: b, Farewell: &sse.Event{Event: "bye", Data: "now"}})
		tab := s.visit()
		publish(t, b, "last")
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		equal(t, "stream", tab.rest(), "retry: 3000|id: E-0", "id: E-1|data: last", "retry: 3000", "event: bye|data: now")
		_, err := b.Publish(t.Context(), sse.Event{})
		is(t, "Publish", err, sse.ErrClosed)
		if err := b.Close(t.Context()); err != nil {
			t.Errorf("second Close: %v", err)
		}
		for _, err := range b.Events(t.Context(), "") {
			is(t, "Events", err, sse.ErrClosed)
		}
		if res, _ := s.status("GET", "/"); res.StatusCode != 503 {
			t.Errorf("status %d, want 503", res.StatusCode)
		}
	})
}

func TestBroker_CloseReportsStuckCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := newBroker(t, sse.BrokerConfig{Snapshot: stuckSnapshot(release)})
		s := stream(t, h1, sse.Config{Broker: b})
		tab := s.visit()
		equal(t, "opening", tab.all(), "retry: 3000")
		ctx, cancel := contextFor(t, time.Second)
		defer cancel()
		is(t, "Close", b.Close(ctx), sse.ErrStuckCallbacks)
		tab.rest()
		close(release)
	})
}
