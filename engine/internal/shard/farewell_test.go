package shard

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/park"
)

// tardy is a backend whose sends take everything, the first of them so long that the shard comes back to its timers when
// a heartbeat is due.
type tardy struct {
	takes time.Duration
	wakes chan struct{}
	got   bytes.Buffer
}

func (b *tardy) Send(ops []Op) {
	time.Sleep(b.takes)
	b.takes = 0
	for i := range ops {
		for _, p := range ops[i].Bufs {
			b.got.Write(p)
			ops[i].N += len(p)
		}
	}
}

func (b *tardy) Wait(events []Event, until time.Time) []Event {
	if left := time.Until(until); left > 0 {
		select {
		case <-b.wakes:
		case <-time.After(left):
		}
	}
	return events
}

func (b *tardy) Wake() {
	select {
	case b.wakes <- struct{}{}:
	default:
	}
}

// quietConn is a connection on which nothing happens.
type quietConn struct{}

func (quietConn) Attach(*Stream) bool  { return true }
func (quietConn) Arm()                 {}
func (quietConn) Queued() int          { return 0 }
func (quietConn) CloseWrite()          {}
func (quietConn) Read() ([]byte, bool) { return nil, false }
func (quietConn) Discard() (int, bool) { return 0, false }
func (quietConn) Close()               {}

type host struct{}

func (host) Farewell(error) []byte { return nil }

func (host) Lost(int) []byte { return nil }

// nobody is the driver before there is one.
type nobody struct{}

func (nobody) Wake()      {}
func (nobody) Interrupt() {}

// told gets the end of a stream.
type told chan engine.End

func (told) OnAge()               {}
func (t told) OnEnd(e engine.End) { t <- e }

func TestShard_NothingComesBehindTheFarewell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &tardy{takes: 2 * time.Second, wakes: make(chan struct{}, 1)}
		s := New(b)
		ended := make(chan engine.End, 1)
		m := fanout.NewMember(nobody{}, host{}, 4)
		pace := &park.Pace{MaxStall: time.Minute, Heartbeat: time.Second, Beat: []byte("beat\n")}
		m.Drive(s.Park(quietConn{}, m, park.Parking{Pace: pace, Owner: told(ended), Born: time.Now()}))
		done := errors.New("done")
		m.Finish(done, []byte("bye\n"), true)
		if e := <-ended; !errors.Is(e.Reason, done) {
			t.Errorf("ended with %v, want %v", e.Reason, done)
		}
		s.Close()
		if got := b.got.String(); got != "bye\n" {
			t.Errorf("sent %q, want the farewell and nothing behind it", got)
		}
	})
}
