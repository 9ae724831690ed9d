package shard

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/park"
)

// deaf is a backend of one connection that never tells of room, as the kernel doesn't when it refused for want of
// memory.
type deaf struct {
	wakes   chan struct{}
	refuses int // of the next sends
	got     chan string
	ended   chan engine.End
	aged    chan struct{}
}

func newDeaf() *deaf {
	return &deaf{
		wakes: make(chan struct{}, 1), got: make(chan string, 9), ended: make(chan engine.End, 1), aged: make(chan struct{}, 1),
	}
}

func (d *deaf) Send(ops []Op) {
	for i := range ops {
		op := &ops[i]
		if d.refuses > 0 {
			d.refuses--
			op.Err = ErrRefused
			continue
		}
		for _, b := range op.Bufs {
			op.N += len(b)
			d.got <- string(b)
		}
	}
}

func (d *deaf) Wait(events []Event, until time.Time) []Event {
	limit := time.NewTimer(time.Until(until))
	defer limit.Stop()
	select {
	case <-d.wakes:
	case <-limit.C:
	}
	return events
}

func (d *deaf) Wake() {
	select {
	case d.wakes <- struct{}{}:
	default:
	}
}

func (*deaf) Attach(*Stream) bool  { return true }
func (*deaf) Arm()                 {}
func (*deaf) Queued() int          { return 0 }
func (*deaf) CloseWrite()          {}
func (*deaf) Read() ([]byte, bool) { return nil, false }
func (*deaf) Discard() (int, bool) { return 0, false }
func (*deaf) Close()               {}

func (d *deaf) OnAge()                     { d.aged <- struct{}{} }
func (d *deaf) OnEnd(end engine.End)       { d.ended <- end }
func (*deaf) Farewell(reason error) []byte { return nil }
func (*deaf) Lost(int) []byte              { return nil }

// park returns a shard with one stream whose connection is d.
func (d *deaf) park(t *testing.T, pace *park.Pace) *fanout.Member {
	time.Sleep(time.Hour) // no stream is as old as its shard
	s := New(d)
	t.Cleanup(s.Close)
	time.Sleep(time.Hour)
	m := fanout.NewMember(nobody{}, d, 9)
	m.Drive(s.Park(d, m, park.Parking{Pace: pace, Owner: d, Born: time.Now()}))
	synctest.Wait()
	return m
}

func TestStream_TriesAgainWhenNothingIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeaf()
		m := d.park(t, &park.Pace{MaxStall: time.Minute, Heartbeat: time.Hour})
		d.refuses = 2
		if err := m.Send([]byte("data: 1\n\n")); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-d.got:
			if got != "data: 1\n\n" {
				t.Errorf("got %q", got)
			}
		case end := <-d.ended:
			t.Errorf("ended: %v", end.Reason)
		}
	})
}

func TestStream_OfAConnectionThatNeverTakesAnythingStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeaf()
		m := d.park(t, &park.Pace{MaxStall: time.Minute, Heartbeat: time.Hour})
		d.refuses = math.MaxInt
		if err := m.Send([]byte("data: 1\n\n")); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		end := <-d.ended
		if took := time.Since(begin); end.Kind() != engine.EndStalled || took > time.Minute+time.Second {
			t.Errorf("ended after %v: %v", took, end.Reason)
		}
	})
}

func TestStream_DurationsWithoutEndNeverCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeaf()
		m := d.park(t, &park.Pace{MaxStall: math.MaxInt64, Heartbeat: math.MaxInt64, Beat: []byte(":\n\n"), MaxAge: math.MaxInt64})
		d.refuses = 1
		if err := m.Send([]byte("data: 1\n\n")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		select {
		case <-d.aged:
			t.Error("it is too old")
		case end := <-d.ended:
			t.Errorf("ended: %v", end.Reason)
		default:
		}
	})
}

func TestInstant_LastsForEver(t *testing.T) {
	now := zero.add(time.Hour)
	if got := now.add(math.MaxInt64); got < now {
		t.Errorf("the end of time is %d, before %d", got, now)
	}
	w := newWheel()
	hung(w, math.MaxInt64)
	if list := w.up(nil, now); len(list) > 0 {
		t.Error("it comes up at once")
	}
}
