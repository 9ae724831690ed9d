package fanout

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOnSlow_MayHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan Verdict)
		c, p := lagging(t, 3, func(Owner, Lag) Verdict { return <-never })
		other := open(t, c, "", "a")
		publish(t, c, 4, "a")
		synctest.Wait()
		other.expect(t, "e4@4")
		p.Blocked(0)
		p.expect(t, "e1@1 e2@2 e3@3 e4@4") // it is served on
		p.Finish(errCut, bye, true)
		p.expect(t, "bye")
		p.End(nil)
		never <- Drop
	})
}

func TestOnSlow_MayPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := lagging(t, 3, func(Owner, Lag) Verdict { panic("of a user") })
		other := open(t, c, "", "a")
		if p.take(); p.status != Finished {
			t.Errorf("status = %d, want Finished", p.status)
		}
		if got := p.End(nil); got != ErrPanicked {
			t.Errorf("End() = %v, want %v", got, ErrPanicked)
		}
		if s := c.Stats(); s.CallbackPanics != 1 || s.Callbacks != 0 {
			t.Errorf("%d panics, %d callbacks; want 1 and none", s.CallbackPanics, s.Callbacks)
		}
		publish(t, c, 4, "a")
		other.expect(t, "e4@4")
	})
}

func TestOnSlow_MayEndItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := lagging(t, 3, func(Owner, Lag) Verdict { runtime.Goexit(); return Drop })
		if p.take(); p.status != Finished {
			t.Errorf("status = %d, want Finished", p.status)
		}
		if got := p.End(nil); got != ErrPanicked {
			t.Errorf("End() = %v, want %v", got, ErrPanicked)
		}
		if s := c.Stats(); s.CallbackPanics != 1 || s.Callbacks != 0 {
			t.Errorf("%d panics, %d callbacks; want 1 and none", s.CallbackPanics, s.Callbacks)
		}
	})
}

func TestOnSlow_MayUseTheCore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := lagging(t, 3, func(o Owner, _ Lag) Verdict {
			p := o.(*peer)
			c := p.Core()
			publish(t, c, 4, "a")
			send(t, p, 1)
			c.Leave(p.Member, "a")
			return Drop
		})
		synctest.Wait()
		publish(t, c, 5, "a")
		p.Blocked(0)
		p.expect(t, "p1 lagged:4@5")
	})
}

func TestCallbacks_AreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		answer := make(chan Verdict)
		c := newTestCore(t, Config{SubscriberBuffer: 1, MaxCallbacks: 2, OnSlow: func(Owner, Lag) Verdict {
			asked.Add(1)
			return <-answer
		}})
		var peers []*peer
		for range 5 {
			p := open(t, c, "", "a")
			p.expect(t, "")
			p.refuse()
			peers = append(peers, p)
		}
		publishAll(t, c, 1, 2, "a")
		synctest.Wait()
		if got := c.Stats().Callbacks; asked.Load() != 2 || got != 2 {
			t.Fatalf("asked %d times, %d callbacks run; want 2", asked.Load(), got)
		}
		for want := int32(3); want <= 5; want++ {
			answer <- Drop
			synctest.Wait()
			time.Sleep(1100 * time.Millisecond) // the pump looks again, without a publish
			synctest.Wait()
			if n := asked.Load(); n != want {
				t.Errorf("asked %d times, want %d", n, want)
			}
		}
		answer <- Drop
		answer <- Drop
		synctest.Wait()
		for _, p := range peers {
			p.Blocked(0)
			p.expect(t, "lagged:2@2")
		}
	})
}

// snapshots is a core whose snapshots come from f.
func snapshots(t *testing.T, f func(ctx context.Context, n Notice) ([]byte, error)) *Core {
	t.Helper()
	return newTestCore(t, Config{SubscriberBuffer: 2, SnapshotTimeout: 5 * time.Second,
		Snapshot: func(ctx context.Context, _ Owner, n Notice) ([]byte, error) { return f(ctx, n) }})
}

func TestSnapshot_ReplacesTheNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := snapshots(t, func(_ context.Context, n Notice) ([]byte, error) { return snapBody(n), nil })
		publishAll(t, c, 1, 2, "a")
		for id, want := range map[string]string{
			"":            "snap:new:0@2",
			"elsewhere-1": "snap:restarted:0@2",
			at(c, 0):      "e1@1 e2@2", // nothing is lost, and no snapshot built
		} {
			p := newPeer(1)
			if err := c.Open(p.Member, id, "a"); err != nil {
				t.Fatal(err)
			}
			if _, _, ok := p.Start(); ok == (want[0] == 's') {
				t.Errorf("Open(%q): told of a position: %v", id, ok)
			}
			got := p.take()
			synctest.Wait()
			if got += p.take(); got != want {
				t.Errorf("Open(%q): got %s, want %s", id, got, want)
			}
		}
		if got := c.Stats().Resyncs; got != 1 {
			t.Errorf("resyncs = %d, want 1: who is new has lost nothing", got)
		}
	})
}

func TestSnapshot_HoldsBackWhatIsNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan bool)
		c := snapshots(t, func(_ context.Context, n Notice) ([]byte, error) {
			if !<-answer {
				return nil, errors.New("no")
			}
			return snapBody(n), nil
		})
		for _, ok := range []bool{true, false} {
			head := int(c.Head())
			p := open(t, c, "elsewhere-1", "a")
			publish(t, c, head+1, "a")
			send(t, p, 1)
			p.expect(t, "p1") // its barrier is not above the snapshot
			publish(t, c, head+2, "a")
			send(t, p, 2)
			publish(t, c, head+3, "a")
			p.expect(t, "")
			if b := p.Heartbeat(); b != nil {
				t.Errorf("Heartbeat() = %q while the snapshot is built", b)
			}
			answer <- ok
			synctest.Wait()
			if p.woken.Load() == 0 {
				t.Error("nobody was woken for the snapshot")
			}
			if ok {
				p.expect(t, fmt.Sprintf("snap:restarted:0@%d e%[2]d@%[2]d p2 e%[3]d@%[3]d", head+1, head+2, head+3))
			} else {
				p.expect(t, fmt.Sprintf("p2 restarted:0@%d", head+3))
			}
		}
	})
}

func TestSnapshot_OfANewClientFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := snapshots(t, func(context.Context, Notice) ([]byte, error) { return nil, errors.New("no") })
		p := open(t, c, "", "a")
		publish(t, c, 1, "a")
		send(t, p, 1)
		p.expect(t, "")
		synctest.Wait()
		p.expect(t, "@0 e1@1 p1") // it has lost nothing
		if got := c.Stats().Resyncs; got != 0 {
			t.Errorf("resyncs = %d, want 0", got)
		}
	})
}

func TestSnapshot_OfANewClientThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := snapshots(t, func(context.Context, Notice) ([]byte, error) { return nil, errors.New("no") })
		p := open(t, c, "", "a")
		p.refuse() // its head does not go out
		publishAll(t, c, 1, 5, "a")
		synctest.Wait()
		p.Blocked(0)
		p.expect(t, "")
		synctest.Wait()
		p.expect(t, "lagged:5@5")
	})
}

func TestSnapshot_TakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		var err error
		c := snapshots(t, func(ctx context.Context, n Notice) ([]byte, error) {
			<-never
			err = ctx.Err()
			return snapBody(n), nil
		})
		p := open(t, c, "elsewhere-1", "a")
		p.expect(t, "")
		time.Sleep(4900 * time.Millisecond)
		p.expect(t, "")
		time.Sleep(200 * time.Millisecond)
		p.expect(t, "restarted:0@0")
		close(never)
		synctest.Wait()
		p.expect(t, "") // its answer is late
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("context of the callback: %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestSnapshot_Panics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := snapshots(t, func(context.Context, Notice) ([]byte, error) { panic("of a user") })
		p := open(t, c, "", "a")
		p.take()
		synctest.Wait()
		if p.take(); p.status != Finished {
			t.Errorf("status = %d, want Finished", p.status)
		}
		if got := p.End(nil); got != ErrPanicked || c.Stats().CallbackPanics != 1 {
			t.Errorf("End() = %v with %d panics, want %v with 1", got, c.Stats().CallbackPanics, ErrPanicked)
		}
	})
}

func TestSnapshot_FindsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		c := newTestCore(t, Config{MaxCallbacks: 1, Snapshot: func(context.Context, Owner, Notice) ([]byte, error) {
			<-hang
			return nil, errors.New("no")
		}})
		one, other := open(t, c, "elsewhere-1", "a"), open(t, c, "elsewhere-1", "a")
		one.expect(t, "")
		other.expect(t, "") // woken at once
		other.expect(t, "restarted:0@0")
		close(hang)
	})
}

func TestSnapshot_IsNotOvertakenBySlowness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := snapshots(t, func(_ context.Context, n Notice) ([]byte, error) { return snapBody(n), nil })
		p := open(t, c, "elsewhere-1", "a")
		p.expect(t, "")
		synctest.Wait() // it is built, but not told
		p.refuse()
		publishAll(t, c, 1, 5, "a")
		synctest.Wait()
		p.Blocked(0)
		p.limit = 1
		if bufs, _ := p.Next(nil, 1); short(bufs[0]) != "snap:restarted:0@0" {
			t.Errorf("got %q, want the snapshot", bufs)
		}
		p.refuse() // what came while it waited is a replay
		publish(t, c, 6, "a")
		synctest.Wait()
		p.expect(t, "e1@1 e2@2 e3@3 e4@4 e5@5 e6@6")
	})
}
