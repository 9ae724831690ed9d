package fanout

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestNotice_Reasons(t *testing.T) {
	c := newTestCore(t, Config{SubscriberBuffer: 2, History: 2})
	publishAll(t, c, 1, 5, "a")
	for id, want := range map[string]string{
		at(c, 5):       "",
		at(c, 3):       "e4@4 e5@5",
		at(c, 2):       "expired:0@5",
		at(c, 6):       "unknown_id:0@5",
		"garbage":      "unknown_id:0@5",
		"-1":           "unknown_id:0@5",
		at(c, 0) + "5": "unknown_id:0@5",
		"elsewhere-1":  "restarted:0@5",
	} {
		p := newPeer(1)
		if err := c.Open(p.Member, id, "a"); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := p.Start(); ok == (p.loss.reason != "") {
			t.Errorf("Open(%q): told of a position: %v, with a loss %q", id, ok, p.loss.reason)
		}
		p.expect(t, want)
		p.expect(t, "") // once
	}
}

func TestNotice_StandsBehindPrivateFramesAndBeforeEvents(t *testing.T) {
	c := newTestCore(t, Config{})
	publish(t, c, 1, "a")
	p := open(t, c, "elsewhere-1", "a")
	publish(t, c, 2, "a")
	send(t, p, 1)
	publish(t, c, 3, "a")
	p.limit = 1
	bufs, _ := p.Next(nil, 1)
	if got := short(bufs[0]); got != "p1" {
		t.Fatalf("first frame is %s, want p1", got)
	}
	publish(t, c, 4, "a") // the notice has the head of its own moment
	p.expect(t, "restarted:0@4")
	publish(t, c, 5, "a")
	p.expect(t, "e5@5")
}

func TestNotice_CountsDistinctFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCore(t, Config{SubscriberBuffer: 2})
		p := open(t, c, "", "a", "b")
		p.expect(t, "")
		p.refuse()
		for n := range 5 {
			publish(t, c, n+1, "a", "b", "c")
		}
		publish(t, c, 6, "c")
		synctest.Wait()
		publish(t, c, 7, "b") // behind the decision, before the notice
		p.Blocked(0)
		p.expect(t, "lagged:6@7")
		if got := c.Stats(); got.Dropped != 6 || got.Resyncs != 1 || got.Delivered != 0 {
			t.Errorf("stats %+v, want 6 dropped, 1 resync, 0 delivered", got)
		}
	})
}

func TestNotice_OfLostPrivateFrames(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a") // takes 4
	for n := range 4 {
		send(t, p, n)
	}
	for range 2 {
		if err := p.Send(nil); !errors.Is(err, ErrQueueFull) {
			t.Fatalf("Send into a full queue: %v, want %v", err, ErrQueueFull)
		}
		p.Lose()
	}
	if got := p.Depth(); got != 4 {
		t.Errorf("Depth() = %d, want 4", got)
	}
	if bufs, _ := p.Next(nil, 1); len(bufs) != 1 || short(bufs[0]) != "p0" {
		t.Fatalf("first frame is %q, want p0", bufs)
	}
	send(t, p, 4)
	p.expect(t, "p1 p2 p3 lost:2 p4")
	p.Lose()
	p.expect(t, "lost:1") // without waiting for another frame
}

func TestHeartbeat_TellsThePositionOfAQuietStream(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a")
	beat := func(want string) {
		t.Helper()
		got := ""
		if b := p.Heartbeat(); b != nil {
			got = short(b)
		}
		if got != want {
			t.Errorf("Heartbeat() = %q, want %q", got, want)
		}
	}
	publishAll(t, c, 1, 3, "b")
	beat("@3")
	publish(t, c, 4, "a")
	beat("")
	p.expect(t, "e4@4")
	beat("@4")
	send(t, p, 1)
	beat("")
	p.expect(t, "p1")
	p.Finish(errCut, nil, true)
	beat("")

	p = open(t, c, "elsewhere-1", "a")
	beat("")
	p.expect(t, "restarted:0@4")
	beat("@4")
	p = newPeer(1)
	beat("")
}

// refuse makes the peer's transport refuse bytes.
func (p *peer) refuse() { p.Blocked(time.Now().UnixNano()) }

func TestStep_ReadsWithoutAWire(t *testing.T) {
	c := newTestCore(t, Config{SubscriberBuffer: 2, History: 2})
	publishAll(t, c, 1, 5, "a")
	p := open(t, c, at(c, 1), "a", "b")
	frame, n, st := p.Step()
	if frame != nil || n == nil || n.Reason != Expired || n.Position != 5 || st != More {
		t.Fatalf("Step() = %q, %v, %d; want a notice", frame, n, st)
	}
	publish(t, c, 6, "a", "b")
	publish(t, c, 7, "b")
	for _, want := range []string{"e6@6", "e7@7"} {
		if frame, n, st = p.Step(); n != nil || st != More || short(frame) != want {
			t.Errorf("Step() = %q, %v, %d; want %s", frame, n, st, want)
		}
	}
	if frame, n, st = p.Step(); frame != nil || n != nil || st != Idle {
		t.Errorf("Step() = %q, %v, %d; want nothing", frame, n, st)
	}
	p.Cut(errCut)
	if _, _, st = p.Step(); st != Finished {
		t.Errorf("Step() behind Cut: %d, want Finished", st)
	}
}
