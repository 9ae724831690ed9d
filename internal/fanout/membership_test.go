package fanout

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

func TestMembership_IsAnInterval(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a")
	publish(t, c, 1, "b") // before it joins b
	if err := c.Join(p.Member, "b", "b", "a"); err != nil {
		t.Fatal(err)
	}
	publish(t, c, 2, "b")
	publish(t, c, 3, "a")
	c.Leave(p.Member, "b", "never joined")
	publish(t, c, 4, "b") // behind it
	publish(t, c, 5, "a")
	if err := c.Join(p.Member, "b"); err != nil {
		t.Fatal(err)
	}
	publish(t, c, 6, "b")
	p.expect(t, "e2@2 e3@3 e5@5 e6@6")
}

func TestLeave_WakesForWhatIsStillDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCore(t, Config{})
		p := open(t, c, "", "a")
		synctest.Wait()
		g := &gate{shut: true, open: make(chan struct{})}
		m := NewMember(g, p, 1)
		g.shut = false
		if err := c.Open(m, "", "gate"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.shut = true
		publish(t, c, 1, "gate")
		synctest.Wait() // the pump is held up: it will learn of the leave and of the frame at once
		before := p.woken.Load()
		publish(t, c, 2, "a")
		c.Leave(p.Member, "a")
		g.open <- struct{}{}
		synctest.Wait()
		if p.woken.Load() == before {
			t.Error("nobody woke the member for a frame from before it left")
		}
		p.expect(t, "e2@2")
	})
}

func TestLeave_MakesRoomForOtherTopics(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a")
	for i := range 3 * MaxTopicsPerMember {
		if err := c.Join(p.Member, "b"); err != nil {
			t.Fatalf("Join %d: %v", i, err)
		}
		c.Leave(p.Member, "b")
	}
}

func TestLeave_IsNobodysLossLater(t *testing.T) {
	c := newTestCore(t, Config{SubscriberBuffer: 4, History: 4, HistoryBytes: 4096, MaxLagBytes: 400})
	p := open(t, c, "", "a", "b")
	p.limit = 1
	publish(t, c, 1, "a")
	publish(t, c, 2, "b")
	if bufs, _ := p.Next(nil, 1); len(bufs) != 1 {
		t.Fatal("the first frame is not due")
	}
	c.Leave(p.Member, "a") // all of a is out
	for n := range 200 {
		if _, err := c.Publish(canceled(t), eventBody(n+3, 0), "a"); err != nil {
			t.Fatal(err)
		}
	}
	p.expect(t, "e2@2")
}

func TestJoin_BeginsAtTheHead(t *testing.T) {
	c := newTestCore(t, Config{})
	publishAll(t, c, 1, 3, "b")
	p := open(t, c, at(c, 0), "a")
	if err := c.Join(p.Member, "b"); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "")
	publish(t, c, 4, "b")
	p.expect(t, "e4@4")
}

func TestOpen_ResumesExactly(t *testing.T) {
	c := newTestCore(t, Config{})
	for n, topic := range []string{"a", "b", "a", "c", "a"} {
		publish(t, c, n+1, topic)
	}
	for from, want := range []string{"e1@1 e2@2 e3@3 e5@5", "e2@2 e3@3 e5@5", "e3@3 e5@5", "e5@5", "e5@5", ""} {
		p := newPeer(1)
		if err := c.Open(p.Member, at(c, Position(from)), "a", "b"); err != nil {
			t.Fatal(err)
		}
		if epoch, pos, ok := p.Start(); epoch != c.Epoch() || pos != Position(from) || !ok {
			t.Errorf("Start() = %s, %d, %v; want position %d", epoch, pos, ok, from)
		}
		p.expect(t, want)
	}
	p := newPeer(1)
	if err := c.Open(p.Member, "", "a"); err != nil {
		t.Fatal(err)
	}
	if _, pos, ok := p.Start(); pos != 5 || !ok {
		t.Errorf("Start() of a new client = %d, %v; want the head", pos, ok)
	}
}

func TestOpen_AddsToTheOpeningSetUntilStart(t *testing.T) {
	c := newTestCore(t, Config{})
	publish(t, c, 1, "a")
	publish(t, c, 2, "b")
	p := newPeer(1)
	for _, topic := range []string{"b", "a"} {
		if err := c.Open(p.Member, at(c, 0), topic); err != nil {
			t.Fatal(err)
		}
	}
	p.Start()
	p.expect(t, "e1@1 e2@2")
	if err := c.Open(p.Member, at(c, 0), "c"); !errors.Is(err, ErrOtherCore) {
		t.Errorf("Open behind Start: %v, want %v", err, ErrOtherCore)
	}
}

func TestOpen_BehindStartTellsThePositionFirst(t *testing.T) {
	c := newTestCore(t, Config{})
	publishAll(t, c, 1, 3, "a")
	p := newPeer(4)
	if _, _, ok := p.Start(); ok {
		t.Error("a member without a core has a position")
	}
	send(t, p, 1)
	p.expect(t, "p1")
	if err := c.Open(p.Member, at(c, 2), "a"); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "@2 e3@3")
}

func TestMember_BelongsToOneCore(t *testing.T) {
	one, other := newTestCore(t, Config{}), newTestCore(t, Config{})
	p := open(t, one, "", "a")
	for name, err := range map[string]error{"Open": other.Open(p.Member, "", "a"), "Join": other.Join(p.Member, "a"), "Join of nobody": one.Join(newPeer(1).Member, "a")} {
		if !errors.Is(err, ErrOtherCore) {
			t.Errorf("%s: %v, want %v", name, err, ErrOtherCore)
		}
	}
	if p.Core() != one {
		t.Error("Core() is another")
	}
}

func TestMember_KnowsItsTopics(t *testing.T) {
	c := newTestCore(t, Config{})
	p, other := open(t, c, "", "a", "b"), open(t, c, "", "b")
	c.Leave(p.Member, "a")
	if got, want := p.Topics(), []string{"b"}; !slices.Equal(got, want) {
		t.Errorf("Topics() = %q, want %q", got, want)
	}
	if p.Follows("a") || !p.Follows("b") {
		t.Errorf("follows a: %v, b: %v; want only b", p.Follows("a"), p.Follows("b"))
	}
	if got := c.Members(); len(got) != 2 || !slices.Contains(got, other.Member) {
		t.Errorf("%d members, want 2", len(got))
	}
	other.End(nil)
	for topic, want := range map[string]int{"a": 0, "b": 1, "none": 0} {
		if got := c.Followers(topic); got != want {
			t.Errorf("Followers(%s) = %d, want %d", topic, got, want)
		}
	}
}

func TestMember_HasABoundOfTopics(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a")
	for i := range MaxTopicsPerMember - 1 {
		if err := c.Join(p.Member, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Join(p.Member, "more"); !errors.Is(err, ErrTooManyTopics) {
		t.Errorf("Join of one more: %v, want %v", err, ErrTooManyTopics)
	}
	for i := range MaxTopicsPerMember - 1 {
		publish(t, c, i+1, fmt.Sprint((i*7)%(MaxTopicsPerMember-1)))
	}
	bufs, _ := p.Next(nil, 1<<20)
	if len(bufs) != MaxTopicsPerMember-1 {
		t.Errorf("%d frames of as many topics, want %d", len(bufs), MaxTopicsPerMember-1)
	}
}
