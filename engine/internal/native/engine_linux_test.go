package native

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/enginetest"
	"github.com/goceleris/celeris/engine/internal/shard"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/leak"
	"github.com/goceleris/celeris/internal/park"
)

// framing writes positions as lines.
type framing struct{}

func (framing) MaxStamp(string) int { return 0 }

func (framing) AppendStamp(b []byte, _ string, _ fanout.Position) []byte { return b }

func (framing) AppendNotice(b []byte, n fanout.Notice) []byte {
	return append(append(b, n.Reason...), '\n')
}

func (framing) AppendConflated(b []byte, _ int) []byte { return b }

func (framing) AppendPosition(b []byte, epoch string, p fanout.Position) []byte {
	return append(fanout.AppendID(b, epoch, p), '\n')
}

type owner struct{}

func (owner) Farewell(error) []byte { return []byte("bye\n") }

func (owner) Lost(int) []byte { return nil }

// told gets the ends of streams.
type told chan engine.End

func (told) OnAge()               {}
func (t told) OnEnd(e engine.End) { t <- e }

// rig is an engine and what it serves.
type rig struct {
	*Engine
	core *fanout.Core
	ends chan engine.End
}

func newRig(t *testing.T) *rig {
	t.Helper()
	leak.Check(t)
	e, err := New(Config{
		Name: "test", Options: park.Options{SendBuffer: 8 << 10, Logger: slog.New(slog.DiscardHandler)},
		Send: func(*slog.Logger) (func([]shard.Op), func(), error) { return new(Sender).Send, func() {}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		Engine: e, core: fanout.NewCore(fanout.Config{Framing: framing{}, MaxFrame: 8 << 20}),
		ends: make(chan engine.End, 16),
	}
	t.Cleanup(func() {
		r.Close()
		if err := r.core.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// park parks a stream on one end of a connection.
func (r *rig) park(t *testing.T, c net.Conn) *enginetest.Stream {
	t.Helper()
	pace := &park.Pace{MaxStall: time.Minute, Heartbeat: time.Minute}
	s := &enginetest.Stream{Parking: park.Parking{Pace: pace, Owner: told(r.ends), Born: time.Now()}}
	s.Member = fanout.NewMember(s, owner{}, 4)
	if err := r.core.Open(s.Member, "", "t"); err != nil {
		t.Fatal(err)
	}
	s.DrivenBy(r.Park(c, s.Member, s.Parking))
	return s
}

func (r *rig) publish(t *testing.T, text string) {
	t.Helper()
	if _, err := r.core.Publish(t.Context(), []byte(text+"\n"), "t"); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) end(t *testing.T, want error) {
	t.Helper()
	select {
	case e := <-r.ends:
		if !errors.Is(e.Reason, want) {
			t.Errorf("ended with %v, want %v", e.Reason, want)
		}
	case <-time.After(patience):
		t.Fatal("the stream did not end")
	}
}

func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	s, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(s, "\n")
}

var errDone = errors.New("done")

func TestEngine_ServesAndLetsGo(t *testing.T) {
	for _, spare := range []bool{true, false} { // whether there is a descriptor to spare
		r := newRig(t)
		here, there := connected(t, "tcp")
		fds := descriptors(t)
		restore := func() {}
		if !spare {
			restore = full(t)
		}
		s := r.park(t, here)
		reader := bufio.NewReaderSize(there, 16)
		r.publish(t, "first")
		first := line(t, reader)
		restore()
		if first != "first" {
			t.Errorf("spare=%v: got %q", spare, first)
		}
		big := strings.Repeat("x", 4<<20) // many refusals, many short sends
		r.publish(t, big)
		r.publish(t, "behind it")
		if got := line(t, reader); got != big {
			t.Errorf("spare=%v: the large one is torn: %d bytes", spare, len(got))
		}
		if got := line(t, reader); got != "behind it" {
			t.Errorf("spare=%v: got %q", spare, got)
		}
		if n := r.Stats(); n.Streams != 1 || n.Refusals == 0 {
			t.Errorf("spare=%v: %+v", spare, n)
		}
		s.Member.Finish(errDone, []byte("bye\n"), true)
		if got, err := io.ReadAll(reader); string(got) != "bye\n" || err != nil {
			t.Errorf("spare=%v: at the end: %q, %v", spare, got, err)
		}
		there.Close()
		r.end(t, errDone)
		if n := descriptors(t); n != fds-2 {
			t.Errorf("spare=%v: %d descriptors are left, want %d", spare, n, fds-2)
		}
	}
}

func TestEngine_EndsWhoseConnectionCannotBeTaken(t *testing.T) {
	r := newRig(t)
	here, _ := connected(t, "tcp")
	here.Close()
	r.park(t, here)
	r.end(t, engine.ErrPeerGone)
}

func TestEngine_CloseCutsWhatIsLeft(t *testing.T) {
	r := newRig(t)
	var peers []net.Conn
	for range 10 {
		here, there := connected(t, "tcp")
		r.park(t, here)
		peers = append(peers, there)
	}
	r.Close()
	for _, c := range peers {
		r.end(t, engine.ErrCut)
		if _, err := io.ReadAll(c); err != nil {
			t.Error(err)
		}
	}
	here, _ := connected(t, "tcp") // too late
	r.park(t, here)
	r.end(t, engine.ErrCut)
}

func TestNew_ReturnsWhatFails(t *testing.T) {
	leak.Check(t)
	fds := descriptors(t)
	_, err := New(Config{Send: func(*slog.Logger) (func([]shard.Op), func(), error) { return nil, nil, errDone }})
	if !errors.Is(err, errDone) {
		t.Errorf("New: %v, want %v", err, errDone)
	}
	restore := full(t)
	_, err = New(Config{Send: func(*slog.Logger) (func([]shard.Op), func(), error) { return new(Sender).Send, func() {}, nil }})
	restore()
	if err == nil {
		t.Error("New has an engine without a descriptor")
	}
	if n := descriptors(t); n != fds {
		t.Errorf("%d descriptors, %d before", n, fds)
	}
}
