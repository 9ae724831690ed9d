package fanout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestNext_OrdersAcrossTopics(t *testing.T) {
	for _, limit := range []int{1, 40, 1 << 20} {
		c := newTestCore(t, Config{})
		both, one := open(t, c, "", "a", "b"), open(t, c, "", "b")
		both.limit = limit
		for n, topic := range []string{"a", "b", "b", "a", "c", "a", "b"} {
			publish(t, c, n+1, topic)
		}
		both.expect(t, "e1@1 e2@2 e3@3 e4@4 e6@6 e7@7")
		one.expect(t, "e2@2 e3@3 e7@7")
		both.expect(t, "")
	}
}

func TestNext_SendsFrameOfSeveralTopicsOnce(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a", "b", "c")
	publish(t, c, 1, "a", "b")
	publish(t, c, 2, "b")
	publish(t, c, 3, "c", "a", "b")
	p.expect(t, "e1@1 e2@2 e3@3")
	if got := c.Stats().Delivered; got != 3 {
		t.Errorf("delivered = %d, want 3", got)
	}
}

func TestNext_StopsJustBehindTheLimit(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a")
	publishAll(t, c, 1, 20, "a")
	size := len(textFraming{}.AppendStamp(nil, c.Epoch(), 1)) + len(eventBody(1, 0))
	for limit, want := range map[int]int{1: 1, size: 1, size + 1: 2, 3 * size: 3} {
		bufs, st := p.Next(nil, limit)
		if got := strings.Count(string(slices.Concat(bufs...)), "\n\n"); got != want || st != More {
			t.Errorf("Next with a limit of %d frames and %d bytes: %d frames, status %d; want %d, More", limit/size, limit%size, got, st, want)
		}
	}
}

func TestNext_SendsOneTopicAsContiguousBytes(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a", "b")
	publishAll(t, c, 1, 20, "a")
	if bufs, _ := p.Next(nil, 1<<20); len(bufs) != 1 {
		t.Errorf("20 small frames are %d pieces, want 1", len(bufs))
	}
}

func TestPrivate_KeepsItsPlace(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a")
	send(t, p, 1)
	publish(t, c, 1, "a")
	send(t, p, 2)
	send(t, p, 3)
	publish(t, c, 2, "a")
	publish(t, c, 3, "a")
	send(t, p, 4)
	p.limit = 1
	p.expect(t, "p1 e1@1 p2 p3 e2@2 e3@3 p4")
}

func TestPublish_AppendsOnceToATopicNamedTwice(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a")
	publish(t, c, 1, "a", "b", "a")
	p.expect(t, "e1@1")
	if got := c.Stats().HistoryFrames; got != 2 {
		t.Errorf("frames in the logs = %d, want 2", got)
	}
}

func TestPublish_KeepsNothingOfTheCaller(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a")
	for _, pad := range []int{10, 2 * AloneAbove} {
		body := eventBody(7, pad)
		if _, err := c.Publish(t.Context(), body, "a"); err != nil {
			t.Fatal(err)
		}
		clear(body)
	}
	p.expect(t, "e7@1 e7@2")
}

func TestPublish_Errors(t *testing.T) {
	many := make([]string, MaxTopicsPerMember+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	c := newTestCore(t, Config{MaxFrame: 100})
	p := open(t, c, "", "a")
	for name, test := range map[string]struct {
		size   int
		topics []string
		want   error
	}{
		"as large as it may be": {100, []string{"a"}, nil},
		"too large":             {101, []string{"a"}, ErrFrameTooLarge},
		"as many topics":        {1, many[1:], nil},
		"too many topics":       {1, many, ErrTooManyTopics},
		"no topic":              {1, nil, nil},
	} {
		if _, err := c.Publish(context.Background(), make([]byte, test.size), test.topics...); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	c.Refuse()
	if _, err := c.Publish(context.Background(), nil, "a"); !errors.Is(err, ErrClosed) {
		t.Errorf("Publish after Refuse: %v, want %v", err, ErrClosed)
	}
	if err := c.Join(p.Member, "b"); !errors.Is(err, ErrClosed) {
		t.Errorf("Join after Refuse: %v, want %v", err, ErrClosed)
	}
}
