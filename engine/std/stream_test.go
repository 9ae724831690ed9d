package std_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/std"
	"github.com/goceleris/celeris/internal/fanout"
	"github.com/goceleris/celeris/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// framing writes frames without any ornament.
type framing struct{}

func (framing) MaxStamp(string) int                                      { return 0 }
func (framing) AppendStamp(b []byte, _ string, _ fanout.Position) []byte { return b }
func (framing) AppendNotice(b []byte, n fanout.Notice) []byte            { return append(b, "!"+n.Reason...) }
func (framing) AppendConflated(b []byte, _ int) []byte                   { return b }
func (framing) AppendPosition(b []byte, _ string, p fanout.Position) []byte {
	return fmt.Appendf(b, "@%d", p)
}

type owner struct{}

func (owner) Farewell(error) []byte { return []byte("bye") }
func (owner) Lost(int) []byte       { return nil }

// wire is a response that notes what is done to it.
type wire struct {
	write func(p []byte) (int, error) // nil to take everything

	mu        sync.Mutex // guards what follows
	steps     []string
	got       bytes.Buffer
	deadline  time.Time
	changed   chan struct{} // gets a token when a deadline is set
	noControl bool
}

func (w *wire) Header() http.Header { return http.Header{} }
func (w *wire) WriteHeader(status int) {
	w.note(fmt.Sprint("status ", status))
}

func (w *wire) Write(p []byte) (int, error) {
	w.note(fmt.Sprint("write ", len(p)))
	if w.write != nil {
		return w.write(p)
	}
	return w.take(p)
}

func (w *wire) note(step string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps = append(w.steps, step)
}

func (w *wire) take(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got.Write(p)
}

// sent is what was written.
func (w *wire) sent() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got.String()
}

func (w *wire) FlushError() error {
	w.note("flush")
	return nil
}

func (w *wire) SetReadDeadline(t time.Time) error {
	w.note("read by " + by(t))
	return nil
}

func (w *wire) SetWriteDeadline(at time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.noControl {
		return http.ErrNotSupported
	}
	w.deadline = at
	w.steps = append(w.steps, "write by "+by(at))
	select {
	case w.changed <- struct{}{}:
	default:
	}
	return nil
}

func by(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return max(time.Until(t), -1).String()
}

// stuck is a write that ends with its deadline.
func (w *wire) stuck([]byte) (int, error) {
	for {
		w.mu.Lock()
		limit := time.After(time.Until(w.deadline))
		w.mu.Unlock()
		select {
		case <-w.changed:
		case <-limit:
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// done returns what was done since the last call.
func (w *wire) done() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	steps := w.steps
	w.steps = nil
	return steps
}

type rig struct {
	*wire
	core   *fanout.Core
	stream *std.Stream
	member *fanout.Member
	cancel context.CancelCauseFunc
	end    chan engine.End
	clean  bool
}

// start opens a stream on a wire and runs it.
func start(t *testing.T, proto int, cfg std.Config) *rig {
	t.Helper()
	r := &rig{wire: &wire{changed: make(chan struct{}, 1)}, end: make(chan engine.End, 1)}
	ctx, cancel := context.WithCancelCause(context.Background())
	r.cancel = cancel
	cfg.Context, cfg.Base, cfg.Out, cfg.Beat = ctx, r.wire, r.wire, []byte("beat")
	r.core = fanout.NewCore(fanout.Config{Framing: framing{}})
	r.stream = std.New(cfg, proto)
	r.member = fanout.NewMember(r.stream, owner{}, 16)
	if err := r.core.Open(r.member, "", "a"); err != nil {
		t.Fatal(err)
	}
	r.member.Start()
	if err := r.stream.Open([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	go func() {
		end, clean := r.stream.Run(r.member)
		r.clean = clean
		r.end <- end
	}()
	synctest.Wait()
	t.Cleanup(func() {
		cancel(nil)
		r.member.Cut(nil)
		synctest.Wait()
		if err := r.core.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) publish(t *testing.T, n int) {
	t.Helper()
	if _, err := r.core.Publish(t.Context(), bytes.Repeat([]byte("x"), n), "a"); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("%s: got\n  %s\nwant\n  %s", what, strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

func TestStream_EveryPieceHasItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, std.Config{MaxStall: 10 * time.Second})
		want(t, "opening", r.done(), "read by 10s", "status 200", "write by 10s", "write 5", "write by 10s", "flush",
			"read by never")
		r.publish(t, 40_000)
		synctest.Wait()
		want(t, "a large frame", r.done(), "write by 10s", "write 16384", "write by 10s", "write 16384",
			"write by 10s", "write 7232", "write by 10s", "flush")
	})
}

func TestStream_LeavesReadDeadlinesAloneWithoutABody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, std.Config{MaxStall: 10 * time.Second, NoBody: true})
		want(t, "opening", r.done(), "status 200", "write by 10s", "write 5", "write by 10s", "flush")
	})
}

func TestStream_FlushesOncePerPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, std.Config{})
		r.done()
		for range 10 {
			if err := r.member.Send([]byte("private")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := strings.Count(strings.Join(r.done(), " "), "flush"); got > 2 {
			t.Errorf("%d flushes for ten frames that were due together", got)
		}
	})
}

func TestStream_TakesDeadlinesBackOnHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 2, std.Config{})
		want(t, "opening", r.done(), "read by 1m0s", "status 200", "write by 1m0s", "write 5", "write by 1m0s", "flush",
			"write by never", "read by never")
	})
}

func TestStream_BeatsInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, std.Config{}) // it can't be switched off
		time.Sleep(15*time.Second - 1)
		if got := r.sent(); got != "hello" {
			t.Errorf("before: %q", got)
		}
		time.Sleep(time.Nanosecond)
		if synctest.Wait(); r.sent() != "hello@0" {
			t.Errorf("after: %q", r.sent())
		}
		r.member.Finish(nil, []byte("bye"), true)
		end := <-r.end
		if end.Reason != nil || end.Bytes != int64(len("hello@0bye")) || end.Duration != 15*time.Second || !r.clean {
			t.Errorf("end %+v, clean %v", end, r.clean)
		}
	})
}

func TestStream_EndsForAReason(t *testing.T) {
	broken := errors.New("broken pipe")
	for _, tt := range []struct {
		name  string
		write func(*rig) func([]byte) (int, error)
		act   func(*rig)
		want  error
		after time.Duration
	}{
		{"refused for too long", func(r *rig) func([]byte) (int, error) { return r.stuck }, nil, engine.ErrStalled, 10 * time.Second},
		{"write fails", func(*rig) func([]byte) (int, error) {
			return func([]byte) (int, error) { return 0, broken }
		}, nil, engine.ErrPeerGone, 0},
		{"connection ends amid a write", func(r *rig) func([]byte) (int, error) { return r.stuck },
			func(r *rig) { r.cancel(broken) }, engine.ErrPeerGone, 0},
		{"connection ends", nil, func(r *rig) { r.cancel(broken) }, engine.ErrPeerGone, 0},
		{"cut amid a write", func(r *rig) func([]byte) (int, error) { return r.stuck },
			func(r *rig) { r.member.Cut(engine.ErrCut) }, engine.ErrCut, 0},
		{"cut", nil, func(r *rig) { r.member.Cut(engine.ErrCut) }, engine.ErrCut, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, 1, std.Config{MaxStall: 10 * time.Second})
				if tt.write != nil {
					r.wire.write = tt.write(r)
				}
				begin := time.Now()
				r.publish(t, 10)
				synctest.Wait()
				if tt.act != nil {
					tt.act(r)
				}
				end := <-r.end
				if !errors.Is(end.Reason, tt.want) || time.Since(begin) != tt.after {
					t.Errorf("%v after %v, want %v after %v", end.Reason, time.Since(begin), tt.want, tt.after)
				}
				if r.clean && tt.name != "cut" {
					t.Error("called clean")
				}
				r.stream.Wake()
				r.stream.Interrupt() // harmless after the end
			})
		})
	}
}

func TestStream_CutsWritersWithoutDeadlinesAtTheNextPiece(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, std.Config{})
		r.noControl = true
		taken, more := 0, make(chan struct{})
		r.wire.write = func(p []byte) (int, error) {
			taken++
			<-more
			return len(p), nil
		}
		r.publish(t, 200_000)
		synctest.Wait()
		r.member.Cut(engine.ErrCut)
		synctest.Wait()
		close(more)
		if end := <-r.end; !errors.Is(end.Reason, engine.ErrCut) || taken != 1 {
			t.Errorf("%v after %d pieces, want one", end.Reason, taken)
		}
	})
}

func TestStream_AgeIsReachedWhileItIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *rig
		aged := make(chan time.Time, 1)
		begin := time.Now()
		r = start(t, 1, std.Config{MaxAge: time.Minute, OnAge: func() {
			aged <- time.Now()
			r.member.Finish(nil, []byte("bye"), false)
		}})
		r.wire.write = func(p []byte) (int, error) { // a second each, and the next one is due by then
			r.publish(t, 10)
			time.Sleep(time.Second)
			return r.take(p)
		}
		r.publish(t, 10)
		if at := <-aged; at.Sub(begin) != time.Minute {
			t.Errorf("aged after %v", at.Sub(begin))
		}
		<-r.end
		if !strings.HasSuffix(r.sent(), "bye") {
			t.Errorf("sent %q", r.sent())
		}
	})
}

func TestStream_RefusedWriteHoldsACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, std.Config{MaxStall: time.Hour})
		var held []byte
		more := make(chan struct{})
		r.wire.write = func(p []byte) (int, error) {
			held = p
			<-more
			return len(p), nil
		}
		r.publish(t, 1000)
		synctest.Wait()
		direct, _ := r.member.Next(nil, 1) // nothing more is due: what is held is all there is
		if len(direct) != 0 || len(held) != 1000 || cap(held) != 16<<10 {
			t.Errorf("a write of %d bytes in %d, want one in the stream's own 16 KiB", len(held), cap(held))
		}
		close(more)
	})
}

func TestStream_AbandonedLeavesTheResponseAlone(t *testing.T) {
	w := &wire{changed: make(chan struct{}, 1)}
	s := std.New(std.Config{Context: t.Context(), Base: w, Out: w}, 1)
	s.Abandon()
	s.Wake()
	s.Interrupt()
	if got := w.done(); len(got) != 0 {
		t.Errorf("after its end: %q", got)
	}
}
