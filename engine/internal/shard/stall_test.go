package shard

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/park"
)

// full is a backend whose one connection never takes a byte, and says every second that it would.
type full struct {
	wakes  chan struct{}
	stream *Stream
}

func (*full) Send(ops []Op) {
	for i := range ops {
		ops[i].Err = ErrRefused
	}
}

func (b *full) Wait(events []Event, until time.Time) []Event {
	left := min(time.Until(until), time.Second)
	if left <= 0 {
		return events
	}
	select {
	case <-b.wakes:
	case <-time.After(left):
		if b.stream != nil {
			events = append(events, Event{Stream: b.stream, Writable: true})
		}
	}
	return events
}

func (b *full) Wake() {
	select {
	case b.wakes <- struct{}{}:
	default:
	}
}

// fullConn tells its backend whose it is.
type fullConn struct {
	quietConn
	backend *full
}

func (c fullConn) Attach(s *Stream) bool {
	c.backend.stream = s
	return true
}

func (fullConn) Queued() int { return 1000 }

func (c fullConn) Close() { c.backend.stream = nil }

func TestShard_RoomThatIsNotThereIsNoProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &full{wakes: make(chan struct{}, 1)}
		s := New(b)
		ended := make(chan engine.End, 1)
		m := fanout.NewMember(nobody{}, host{}, 4)
		pace := &park.Pace{MaxStall: time.Minute, Heartbeat: time.Hour}
		begin := time.Now()
		m.Drive(s.Park(fullConn{backend: b}, m, park.Parking{Pace: pace, Owner: told(ended), Born: begin}))
		if err := m.Send([]byte("never\n")); err != nil {
			t.Fatal(err)
		}
		var e engine.End
		select {
		case e = <-ended:
		case <-time.After(10 * time.Minute):
			m.Cut(engine.ErrCut)
			e = <-ended
		}
		if took := time.Since(begin); !errors.Is(e.Reason, engine.ErrStalled) || took < time.Minute || took > 62*time.Second {
			t.Errorf("ended with %v after %v, want it to have stalled after a minute", e.Reason, took)
		}
		s.Close()
	})
}
