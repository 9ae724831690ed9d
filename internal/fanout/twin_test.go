package fanout

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

// reads returns a member of topic that reads twins for windows of up to that size.
func reads(t testing.TB, c *Core, window uint8, topics ...string) *peer {
	t.Helper()
	p := newPeer(4)
	p.Takes(window)
	if err := c.Open(p.Member, "", topics...); err != nil {
		t.Fatal(err)
	}
	p.Start()
	return p
}

// publishTwin publishes event n in two wordings.
func publishTwin(t testing.TB, c *Core, n, pad int, window uint8, topics ...string) Receipt {
	t.Helper()
	r, err := c.PublishFrame(context.Background(),
		Frame{Bytes: eventBody(n, pad), Twin: eventTwin(n, pad, window), Window: window}, topics...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTwin_GoesToWhoCanReadIt(t *testing.T) {
	c := newTestCore(t, Config{})
	plain, small, large := reads(t, c, 0, "a"), reads(t, c, 10, "a"), reads(t, c, 15, "a")
	if got := c.Window("a"); got != 10 {
		t.Errorf("Window = %d, want that of the smallest", got)
	}
	publishTwin(t, c, 1, 3, 10, "a")
	publishTwin(t, c, 2, 3, 9, "a")
	publish(t, c, 3, "a") // without a twin
	publishTwin(t, c, 4, 3, 12, "a")
	plain.expect(t, "e1@1 e2@2 e3@3 e4@4")
	small.expect(t, "e1/10@1 e2/9@2 e3@3 e4@4") // nobody may get more than the smallest reads
	large.expect(t, "e1/10@1 e2/9@2 e3@3 e4@4")
	if n := len(c.topics["a"].view.Load().segs); n != 1 {
		t.Errorf("%d segments, want one for both wordings", n)
	}

	smaller := reads(t, c, 9, "a") // comes between the decision about a twin and its publish
	publishTwin(t, c, 5, 3, 10, "a")
	small.expect(t, "e5@5")
	smaller.expect(t, "e5@5")
	publishTwin(t, c, 6, 3, 9, "a")
	smaller.expect(t, "e6/9@6")
	large.expect(t, "e5@5 e6/9@6")

	smaller.End(nil)
	small.End(nil)
	if got := c.Window("a"); got != 15 {
		t.Errorf("Window = %d when the others have left, want 15", got)
	}
	publishTwin(t, c, 7, 3, 15, "a")
	large.expect(t, "e7/15@7")
	large.End(nil)
	before := c.topics["a"].tail()
	publishTwin(t, c, 8, 3, 15, "a")
	if s := c.topics["a"].tail(); s != before || c.Window("a") != 0 {
		t.Error("a new segment for nobody")
	}
	plain.expect(t, "e5@5 e6@6 e7@7 e8@8")

	// History is read by those it is right for.
	late := newPeer(4)
	late.Takes(10)
	if err := c.Open(late.Member, at(c, 0), "a"); err != nil {
		t.Fatal(err)
	}
	late.Start()
	late.expect(t, "e1/10@1 e2/9@2 e3@3 e4@4 e5@5 e6/9@6 e7@7 e8@8")
}

func TestTwin_IsOneSendForMany(t *testing.T) {
	c := newTestCore(t, Config{})
	p := reads(t, c, 12, "a")
	for n := range 20 {
		publishTwin(t, c, n, 10, 12, "a")
	}
	segs := len(c.topics["a"].view.Load().segs)
	if bufs, _ := p.Next(nil, 1<<20); len(bufs) != segs {
		t.Errorf("%d pieces for 20 frames in %d segments", len(bufs), segs)
	}
}

func TestTwin_OfALargeFrameIsSharedByTopics(t *testing.T) {
	c := newTestCore(t, Config{})
	p, q := reads(t, c, 12, "a", "b"), reads(t, c, 0, "a", "b")
	if r := publishTwin(t, c, 1, 100_000, 12, "a", "b"); r.Members != 4 {
		t.Errorf("%d memberships, want 4", r.Members)
	}
	if _, err := c.PublishFrame(t.Context(), Frame{Bytes: eventBody(2, 100_000), Twin: eventTwin(2, 5, 12), Window: 12}, "a", "b"); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "e1/12@1 e2/12@2")
	q.expect(t, "e1@1 e2@2")
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.topics["a"].view.Load().segs {
		if s.sharers != 2 || s.twin == nil || s.twin.sharers != 2 {
			t.Errorf("a segment is shared by %d topics, its twin is %+v", s.sharers, s.twin)
		}
	}
	sum := 0
	for _, topic := range c.topics {
		for _, s := range topic.view.Load().segs {
			sum += s.size()
		}
	}
	if sum != c.bytes {
		t.Errorf("%d bytes are accounted for, the logs cost %d", c.bytes, sum)
	}
}

// Memory stays within its bound when both wordings are kept, and when windows and frames without a twin alternate.
func TestTwin_IsAccountedFor(t *testing.T) {
	c := newTestCore(t, Config{HistoryBytes: 1 << 20, MaxLagBytes: 1 << 18, History: 1 << 20})
	var p *peer
	for n := range 3000 {
		if n%100 == 0 {
			p = reads(t, c, []uint8{9, 15}[n/100%2], "a")
		}
		window := []uint8{9, 15, 12}[n%3]
		if n%7 == 0 {
			publish(t, c, n, "a")
		} else {
			publishTwin(t, c, n, 1000, window, "a")
		}
		if n%100 == 99 {
			p.take()
			p.End(nil)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	sum, segs := 0, c.topics["a"].view.Load().segs
	for _, s := range segs {
		sum += s.size()
	}
	if sum != c.bytes || sum > c.cfg.HistoryBytes {
		t.Errorf("%d bytes are accounted for, the logs cost %d of %d", c.bytes, sum, c.cfg.HistoryBytes)
	}
	if len(segs) > 40 {
		t.Errorf("%d segments", len(segs))
	}
}

func TestFrame_ThatKnowsItsPosition(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a")
	f := Frame{Bytes: bytes.Clone(eventBody(1, 0)), At: 1}
	if r, err := c.PublishFrame(t.Context(), f, "a"); err != nil || r != (Receipt{Position: 1, Members: 1}) {
		t.Errorf("%+v, %v", r, err)
	}
	for _, at := range []Position{1, 3} {
		f.At = at
		if _, err := c.PublishFrame(t.Context(), f, "a"); !errors.Is(err, ErrOrder) {
			t.Errorf("at %d behind 1: %v, want %v", at, err, ErrOrder)
		}
	}
	p.expect(t, "e1@1")
}

// A protocol may have nothing to say where another tells a position.
func TestNext_LeavesOutFramesWithoutBytes(t *testing.T) {
	c := newTestCore(t, Config{SubscriberBuffer: 2, History: 2})
	c.cfg.Framing = mute{}
	p := newPeer(4)
	p.Start()
	if err := c.Open(p.Member, "", "a"); err != nil { // late: it would be told its position
		t.Fatal(err)
	}
	publish(t, c, 1, "a")
	var plan Plan
	if p.Plan(&plan, 1<<20); plan.Size == 0 || len(plan.Bufs) != 1 {
		t.Errorf("%d bytes in %d pieces", plan.Size, len(plan.Bufs))
	}
	p.Commit(&plan, plan.Size)
	for n := range 50 {
		if _, err := c.Publish(t.Context(), eventBody(n, 2000), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if bufs, st := p.Next(nil, 1<<20); len(bufs) > 0 || st != Idle {
		t.Errorf("a notice without bytes: %q, status %d", bufs, st)
	}
	publish(t, c, 10, "a")
	if st := p.Plan(&plan, 1<<20); plan.Size == 0 || len(plan.Bufs) != 1 {
		t.Errorf("behind it: %d bytes in %d pieces, status %d", plan.Size, len(plan.Bufs), st)
	}
}

type mute struct{ textFraming }

func (mute) AppendNotice(b []byte, _ Notice) []byte               { return b }
func (mute) AppendPosition(b []byte, _ string, _ Position) []byte { return b }
func (mute) AppendStamp(b []byte, _ string, _ Position) []byte    { return b }
