package fanout

import (
	"testing"
	"testing/synctest"
	"time"
)

// lagging returns a core with the limit of 2 frames and a member that is armed, refuses and has n frames due.
func lagging(t *testing.T, n int, onSlow func(Owner, Lag) Verdict) (*Core, *peer) {
	t.Helper()
	c := newTestCore(t, Config{SubscriberBuffer: 2, OnSlow: onSlow})
	p := open(t, c, "", "a")
	p.expect(t, "")
	p.refuse()
	for i := range n {
		publish(t, c, i+1, "a")
		synctest.Wait()
	}
	return c, p
}

func TestSlow_IsMoreThanTheLimitBehindARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n, want := range map[int]string{2: "e1@1 e2@2", 3: "lagged:3@3"} {
			_, p := lagging(t, n, nil)
			p.Blocked(0)
			p.expect(t, want)
		}
	})
}

func TestSlow_CountsBytesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCore(t, Config{MaxLagBytes: 1000})
		p := open(t, c, "", "a")
		p.expect(t, "")
		p.refuse()
		if _, err := c.Publish(t.Context(), eventBody(1, 2000), "a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.Blocked(0)
		p.expect(t, "lagged:1@1")
	})
}

func TestSlow_ABurstNeverMakesAFastReaderSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := newTestCore(t, Config{SubscriberBuffer: 1, History: 500, OnSlow: func(Owner, Lag) Verdict { asked++; return Drop }})
		p := open(t, c, "", "a")
		p.expect(t, "")
		for n := range 500 {
			if _, err := c.Publish(canceled(t), eventBody(n, 0), "a"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		p.take()
		if got := c.Stats(); got.Delivered != 500 || got.Resyncs != 0 || asked != 0 {
			t.Errorf("%d delivered, %d resyncs, asked %d times; want 500, 0, 0", got.Delivered, got.Resyncs, asked)
		}
	})
}

func TestSlow_AReplayIsNoLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCore(t, Config{SubscriberBuffer: 2, History: 100})
		publishAll(t, c, 1, 50, "a")
		p := open(t, c, at(c, 0), "a")
		p.refuse() // from its first byte
		publishAll(t, c, 51, 60, "a")
		synctest.Wait()
		for range 58 {
			p.Next(nil, 1)
		}
		publish(t, c, 61, "a")
		synctest.Wait()
		p.Next(nil, 1) // within the limits, by a hair
		publishAll(t, c, 62, 62, "a")
		synctest.Wait()
		p.expect(t, "e60@60 e61@61 e62@62")
		p.refuse() // from here on it counts
		publishAll(t, c, 63, 65, "a")
		synctest.Wait()
		p.expect(t, "lagged:3@65")
	})
}

func TestSlow_IsJudgedWhenTheTransportStillRefusesThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			wait time.Duration
			want string
		}{
			"before it": {90 * time.Millisecond, "e1@1 e2@2 e3@3"},
			"behind it": {110 * time.Millisecond, "lagged:3@3"},
		} {
			c := newTestCore(t, Config{SubscriberBuffer: 2})
			p := open(t, c, "", "a")
			p.expect(t, "")
			p.Blocked(time.Now().Add(100 * time.Millisecond).UnixNano())
			publishAll(t, c, 1, 3, "a")
			time.Sleep(test.wait)
			synctest.Wait()
			p.Blocked(0)
			if got := p.take(); got != test.want {
				t.Errorf("%s: got %s, want %s", name, got, test.want)
			}
		}
	})
}

func TestSlow_IsSeenThoughNothingFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := newTestCore(t, Config{SubscriberBuffer: 2, OnSlow: func(Owner, Lag) Verdict {
			asked++
			return Drop
		}})
		p := open(t, c, "", "a")
		p.expect(t, "")
		publishAll(t, c, 1, 5, "a")
		synctest.Wait() // the pump has done what there was to do
		p.Refused(time.Now().UnixNano())
		synctest.Wait()
		if asked != 1 {
			t.Errorf("OnSlow was asked %d times, want once", asked)
		}
	})
}

func TestSlow_AsksOncePerEpisode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lags []Lag
		answer := make(chan Verdict)
		c, p := lagging(t, 5, func(_ Owner, lag Lag) Verdict {
			lags = append(lags, lag)
			return <-answer
		})
		publish(t, c, 6, "a")
		synctest.Wait()
		if len(lags) != 1 || lags[0].Frames != 3 || lags[0].Bytes == 0 {
			t.Fatalf("asked with %+v, want once with 3 frames", lags)
		}
		answer <- Drop
		publish(t, c, 7, "a")
		synctest.Wait()
		p.Blocked(0)
		p.expect(t, "lagged:7@7")
		p.refuse()
		publishAll(t, c, 8, 10, "a")
		synctest.Wait()
		if len(lags) != 2 {
			t.Errorf("asked %d times in two episodes", len(lags))
		}
		answer <- Drop
	})
}

func TestSlow_AVerdictBehindTheEpisodeIsVoid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			meanwhile func(*Core, *peer)
			want      string
		}{
			"takes bytes again":  {func(_ *Core, p *peer) { p.Blocked(0) }, "e1@1 e2@2 e3@3"},
			"is within limits":   {func(_ *Core, p *peer) { p.Next(nil, 1) }, "e2@2 e3@3"},
			"is ending":          {func(_ *Core, p *peer) { p.Finish(errCut, bye, true) }, "e1@1 e2@2 e3@3 bye"},
			"has ended":          {func(_ *Core, p *peer) { p.End(errCut) }, ""},
			"is as slow as ever": {func(*Core, *peer) {}, "removed:3"},
		} {
			answer := make(chan Verdict)
			c, p := lagging(t, 3, func(Owner, Lag) Verdict { return <-answer })
			test.meanwhile(c, p)
			answer <- Remove
			synctest.Wait()
			if got := p.take(); got != test.want {
				t.Errorf("%s: got %s, want %s", name, got, test.want)
			}
		}
	})
}

func TestSlow_RemoveFreezesThePosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := lagging(t, 3, func(Owner, Lag) Verdict { return Remove })
		send(t, p, 1)
		p.expect(t, "removed:3 p1")
		publish(t, c, 4, "a")
		p.expect(t, "")
		if b := p.Heartbeat(); b != nil {
			t.Errorf("Heartbeat() = %q, want none", b)
		}
		if got := c.Stats().Removed; got != 1 {
			t.Errorf("removed = %d, want 1", got)
		}
	})
}

func TestSlow_CloseEndsWithAFarewell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := lagging(t, 3, func(Owner, Lag) Verdict { return Close })
		p.expect(t, "bye")
		if got := p.End(nil); got != ErrSlow {
			t.Errorf("End() = %v, want %v", got, ErrSlow)
		}
		if got := c.Stats().Closed; got != 1 {
			t.Errorf("closed = %d, want 1", got)
		}
	})
}

func TestThrottle_WaitsForPassesNotForReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			start func(*peer)
			want  time.Duration
		}{
			"that refuses":           {func(p *peer) { p.take(); p.refuse() }, 0},
			"that does not run":      {func(p *peer) { p.take() }, lapWait},
			"that has never started": {func(*peer) {}, 0},
		} {
			c := newTestCore(t, Config{SubscriberBuffer: 1, History: 10})
			p := open(t, c, "", "a")
			test.start(p)
			began := time.Now()
			publishAll(t, c, 1, 10, "a") // half of History is passed once
			if got := time.Since(began); got != test.want {
				t.Errorf("a member %s: 10 publishes took %v, want %v", name, got, test.want)
			}
			if got := c.Stats().Throttled; (got > 0) != (test.want > 0) && test.want > 0 {
				t.Errorf("a member %s: throttled %d times", name, got)
			}
			p.End(nil)
		}
	})
}

func TestThrottle_KeepsABurstFromOutrunningAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCore(t, Config{SubscriberBuffer: 1, History: 10})
		d := &runner{wakes: make(chan struct{}, 1)}
		d.member = NewMember(d, d, 1)
		if err := c.Open(d.member, "", "a"); err != nil {
			t.Fatal(err)
		}
		d.member.Start()
		go d.run()
		synctest.Wait()
		publishAll(t, c, 1, 1000, "a")
		d.member.Finish(nil, nil, true)
		synctest.Wait()
		if len(d.seen) != 1000 || d.notice > 0 || len(d.errs) > 0 {
			t.Errorf("saw %d of 1000 frames, %d notices; errors %v", len(d.seen), d.notice, d.errs)
		}
	})
}
