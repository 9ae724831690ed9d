package fanout

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var bye = []byte("event: bye\ndata: now\n\n")

func TestFinish_SendsWhatIsDue(t *testing.T) {
	for due, want := range map[bool]string{true: "e1@1 p1 e2@2 bye", false: "p1 bye"} {
		c := newTestCore(t, Config{})
		p := open(t, c, "", "a")
		publish(t, c, 1, "a")
		send(t, p, 1)
		publish(t, c, 2, "a")
		p.Finish(errCut, bye, due)
		p.Finish(errors.New("later"), []byte("later"), !due)
		publish(t, c, 3, "a") // behind the call
		if err := p.Send(nil); !errors.Is(err, ErrEnded) {
			t.Errorf("Send behind Finish: %v, want %v", err, ErrEnded)
		}
		if err := c.Join(p.Member, "b"); !errors.Is(err, ErrEnded) {
			t.Errorf("Join behind Finish: %v, want %v", err, ErrEnded)
		}
		p.expect(t, want)
		if p.status != Finished {
			t.Errorf("status = %d, want Finished", p.status)
		}
		if got := p.End(errors.New("of the driver")); got != errCut {
			t.Errorf("End() = %v, want %v", got, errCut)
		}
	}
}

func TestFinish_DoesNotTellALoss(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "elsewhere-1", "a")
	send(t, p, 1)
	publish(t, c, 1, "a")
	p.Finish(errCut, bye, true)
	p.expect(t, "p1 bye") // without an id: it comes back with its old one
}

func TestFinish_EndsWhereRetentionHasPassed(t *testing.T) {
	c := newTestCore(t, Config{SubscriberBuffer: 2, History: 2})
	p := open(t, c, "", "a")
	for n := range 200 {
		if _, err := c.Publish(canceled(t), eventBody(n, 0), "a"); err != nil {
			t.Fatal(err)
		}
	}
	p.Finish(errCut, bye, true)
	p.expect(t, "bye")
}

func TestCut_EndsNow(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a")
	publish(t, c, 1, "a")
	send(t, p, 1)
	p.Cut(errCut)
	if !p.interrupted.Load() {
		t.Error("the send under way goes on")
	}
	if p.expect(t, ""); p.status != Finished {
		t.Errorf("status = %d, want Finished", p.status)
	}
	if got := p.End(nil); got != errCut {
		t.Errorf("End() = %v, want %v", got, errCut)
	}
}

func TestCut_LeavesTheReasonOfFinish(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a")
	p.Finish(errCut, bye, true)
	p.Cut(errors.New("too late"))
	if got := p.End(nil); got != errCut {
		t.Errorf("End() = %v, want %v", got, errCut)
	}
}

func TestEnd_IsTheEnd(t *testing.T) {
	c := newTestCore(t, Config{})
	p := open(t, c, "", "a")
	publish(t, c, 1, "a")
	gone := errors.New("connection reset")
	if got := p.End(gone); got != gone {
		t.Errorf("End() = %v, want %v", got, gone)
	}
	if got := p.End(errCut); got != gone {
		t.Errorf("second End() = %v, want the first reason", got)
	}
	select {
	case <-p.Ended():
	default:
		t.Error("Ended() is open")
	}
	if p.expect(t, ""); p.status != Finished {
		t.Errorf("status = %d, want Finished", p.status)
	}
	if err := p.Send(nil); !errors.Is(err, ErrEnded) {
		t.Errorf("Send: %v, want %v", err, ErrEnded)
	}
	if err := c.Open(p.Member, "", "b"); err == nil {
		t.Error("Open of an ended member succeeds")
	}
	if s := c.Stats(); s.Members != 0 || c.Followers("a") != 0 {
		t.Errorf("%d members, %d followers; want none", s.Members, c.Followers("a"))
	}
	alone := newPeer(1)
	if got := alone.End(errCut); got != errCut {
		t.Errorf("End() without a core = %v, want %v", got, errCut)
	}
}

func TestRoom_IsGivenOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCore(t, Config{})
		p := open(t, c, "", "a")
		for n := range 4 {
			send(t, p, n)
		}
		var sent atomic.Int32
		for range 3 {
			go func() {
				for errors.Is(p.Send(privateBody(9)), ErrQueueFull) {
					<-p.Room()
				}
				sent.Add(1)
				p.PassRoom()
			}()
			synctest.Wait()
		}
		if n := sent.Load(); n != 0 {
			t.Fatalf("%d sends into a full queue", n)
		}
		p.Next(nil, 1)
		synctest.Wait()
		if n := sent.Load(); n != 1 {
			t.Errorf("%d sends after one frame went out, want 1", n)
		}
		p.take()
		synctest.Wait()
		if n := sent.Load(); n != 3 {
			t.Errorf("%d sends after all went out, want 3", n)
		}
	})
}

func TestRoom_ComesWithTheEnd(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"Finish": func(p *peer) { p.Finish(errCut, nil, false) },
		"Cut":    func(p *peer) { p.Cut(errCut) },
	} {
		p := newPeer(0)
		end(p)
		select {
		case <-p.Room():
		default:
			t.Errorf("%s wakes no sender", name)
		}
	}
}

func TestWaitEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCore(t, Config{})
		if err := c.WaitEmpty(t.Context()); err != nil {
			t.Errorf("WaitEmpty of nobody: %v", err)
		}
		one, other := open(t, c, "", "a"), open(t, c, "", "b")
		cause := errors.New("patience")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		if err := c.WaitEmpty(ctx); !errors.Is(err, cause) {
			t.Errorf("WaitEmpty of two: %v, want %v", err, cause)
		}
		var err error
		done := false
		go func() { err = c.WaitEmpty(context.Background()); done = true }()
		one.End(nil)
		if synctest.Wait(); done {
			t.Error("WaitEmpty returns with a member left")
		}
		other.End(nil)
		if synctest.Wait(); !done || err != nil {
			t.Errorf("WaitEmpty returned: %v, with %v", done, err)
		}
	})
}

func TestStop_LeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a bubble that ends has no goroutine left
		release := make(chan struct{})
		c := NewCore(Config{Framing: textFraming{}, Logger: quiet, SubscriberBuffer: 1, OnSlow: func(Owner, Lag) Verdict {
			<-release
			return Drop
		}})
		p := open(t, c, "", "a")
		p.expect(t, "")
		p.refuse()
		publishAll(t, c, 1, 3, "a")
		synctest.Wait()
		cause := errors.New("patience")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		if err := c.Stop(ctx); !errors.Is(err, cause) {
			t.Errorf("Stop with a callback that hangs: %v, want %v", err, cause)
		}
		if got := c.Stats().Callbacks; got != 1 {
			t.Errorf("%d callbacks run, want 1", got)
		}
		close(release)
		if err := c.Stop(context.Background()); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if _, err := c.Publish(t.Context(), nil, "a"); !errors.Is(err, ErrClosed) {
			t.Errorf("Publish: %v, want %v", err, ErrClosed)
		}
	})
}

// canceled is a context for publishers that wait for no pass.
func canceled(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
