package websocket_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/internal/wsproto"
	"github.com/goceleris/celeris/middleware/websocket"
)

func TestCallbacks_AnswerViolations(t *testing.T) {
	for name, row := range violations {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, open func(websocket.Config) *site) {
				ends := make(chan error, 1)
				s := open(websocket.Config{ReadLimit: 1000, OnMessage: back, OnClose: func(_ *websocket.Conn, err error) { ends <- err }})
				r := s.open(t, hello)
				r.send([]byte(row.in))
				if got := r.frame(); !strings.HasPrefix(got, fmt.Sprintf("close %d ", row.code)) {
					t.Errorf("answered by %q", got)
				}
				if got := r.frame(); got != "EOF" {
					t.Errorf("then %q, want the end", got)
				}
				r.Close()
				if err := <-ends; func() bool {
					e, ok := errors.AsType[*websocket.ProtocolError](err)
					return !ok || e.Code != row.code
				}() {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

// Whatever the point at which a connection breaks, OnClose is told, once, and nothing is left.
func TestCallbacks_BreakAtEveryPoint(t *testing.T) {
	in := append(masked(wsproto.Text, false, "abc"), masked(wsproto.Ping, true, "xyz")...)
	in = append(in, masked(wsproto.Continuation, true, strings.Repeat("d", 130))...)
	for _, reset := range []bool{false, true} {
		for n := range in {
			everywhere(t, func(t *testing.T, open func(websocket.Config) *site) {
				ends := make(chan error, 2)
				s := open(websocket.Config{
					OnMessage: func(*websocket.Conn, websocket.MessageType, []byte) { t.Error("half a message is handled") },
					OnClose:   func(_ *websocket.Conn, err error) { ends <- err },
				})
				r := s.open(t, hello)
				r.send(in[:n])
				synctest.Wait()
				if reset {
					r.Conn.(*memnet.Conn).Reset()
				}
				r.Close()
				if err := <-ends; !errors.Is(err, engine.ErrPeerGone) {
					t.Errorf("cut after %d bytes: %v", n, err)
				}
				synctest.Wait()
				if len(ends) > 0 || s.Stats().Streams != 0 {
					t.Errorf("cut after %d bytes: %d more ends, %d streams", n, len(ends), s.Stats().Streams)
				}
			})
		}
	}
}

func TestCallbacks_ComeOneByteASecond(t *testing.T) {
	everywhere(t, func(t *testing.T, open func(websocket.Config) *site) {
		r := open(websocket.Config{OnMessage: back}).open(t, hello)
		for _, c := range text("slow and steady") {
			time.Sleep(time.Second)
			r.send([]byte{c})
		}
		r.want("81 slow and steady")
		r.Close()
	})
}

func TestCallbacks_BoundWhatIsInflated(t *testing.T) {
	bomb := wsproto.AppendDeflate(nil, make([]byte, 1<<20), nil, 15, 9)
	in := wsproto.AppendFrame(nil, wsproto.Frame{Opcode: wsproto.Binary, Fin: true, Compressed: true, Masked: true}, bomb)
	everywhere(t, func(t *testing.T, open func(websocket.Config) *site) {
		s := open(websocket.Config{ReadLimit: 64 << 10, Compression: websocket.Compression{Enabled: true}, OnMessage: func(*websocket.Conn, websocket.MessageType, []byte) {
			t.Error("it is handled")
		}})
		r := s.open(t, strings.TrimSuffix(hello, "\r\n")+deflateHello)
		r.send(in)
		r.send(text("behind it"))
		if got := r.frame(); !strings.HasPrefix(got, "close 1009 ") {
			t.Errorf("answered by %q", got)
		}
		r.Close()
	})
}

// A callback that never returns is reported by the server's shutdown, and does not hold it up.
func TestCallbacks_ThatNeverReturnAreLeftBehind(t *testing.T) {
	everywhere(t, func(t *testing.T, open func(websocket.Config) *site) {
		stuck := make(chan struct{})
		s := open(websocket.Config{OnMessage: func(*websocket.Conn, websocket.MessageType, []byte) { <-stuck }})
		r, other := s.open(t, hello), s.open(t, hello)
		r.send(text("x"))
		synctest.Wait()
		begin := time.Now()
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(t.Context()) }()
		for _, p := range []*raw{r, other} {
			p.want("close 1001")
			p.send(masked(wsproto.Close, true, "\x03\xe9"))
			p.want("EOF")
			p.Close()
		}
		if e, ok := errors.AsType[*celeris.StuckError](<-done); !ok || e.Routes["GET /{name}"] != 1 {
			t.Errorf("Shutdown = %v", e)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("after %v", took)
		}
		close(stuck)
	})
}

func TestCallbacks_TakeMegabytesInFragmentsOfAByte(t *testing.T) {
	size := 10 << 20
	if raceEnabled {
		size = 256 << 10
	}
	got := make(chan int, 1)
	dialRaw(t, serveCeleris(t, websocket.Config{
		ReadLimit: int64(size), OnMessage: func(_ *websocket.Conn, _ websocket.MessageType, data []byte) { got <- cap(data) },
	})).crumble(size)
	if n := <-got; n < size || n > 2*size {
		t.Errorf("%d bytes are kept for %d", n, size)
	}
}

func TestCallbacks_EmptyMessagesAreHandledOneByOne(t *testing.T) {
	const n = 100_000
	var seen atomic.Int64
	r := dialRaw(t, serveCeleris(t, websocket.Config{
		OnMessage: func(*websocket.Conn, websocket.MessageType, []byte) { seen.Add(1) }, CloseTimeout: time.Minute,
	}))
	block := strings.Repeat(string(text("")), 1000)
	for range n / 1000 {
		r.send([]byte(block))
	}
	r.send(masked(wsproto.Close, true, "\x03\xe8"))
	r.want("close 1000") // which is behind them
	if got := seen.Load(); got != n {
		t.Errorf("%d messages, want %d", got, n)
	}
}
