package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/internal/wsproto"
	"github.com/goceleris/celeris/middleware/websocket"
)

// with runs f as the handler of a connection whose peer is raw, in a bubble.
func with(t *testing.T, cfg websocket.Config, head string, f func(t *testing.T, c *websocket.Conn, r *raw)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		conns, done := make(chan *websocket.Conn), make(chan struct{})
		cfg.Handler = func(c *websocket.Conn) {
			conns <- c
			<-done
		}
		s := serve(t, cfg, celeris.Config{Logger: quiet})
		r := s.open(t, head)
		f(t, <-conns, r)
		close(done)
		r.Close()
	})
}

func TestSend_TellsWhatBecameOfTheMessage(t *testing.T) {
	total, blocked := make(chan int, 1), make(chan struct{})
	url := serveTCP(t, websocket.Config{MaxBacklog: 100_000, MaxStall: time.Minute, Handler: func(c *websocket.Conn) {
		defer close(total)
		if o, err := c.Send(websocket.TextMessage, []byte("first")); o != websocket.Sent || err != nil {
			t.Errorf("Send = %v, %v", o, err)
		}
		if n := c.BufferedAmount(); n != 0 {
			t.Errorf("BufferedAmount() = %d", n)
		}
		select {
		case <-c.Drained():
		default:
			t.Error("not drained with nothing to send")
		}
		msg := make([]byte, 50_000)
		sent, buffered := 0, 0
		for {
			o, err := c.Send(websocket.BinaryMessage, msg)
			if o == websocket.Dropped {
				if !errors.Is(err, websocket.ErrBacklog) {
					t.Errorf("dropped with %v", err)
				}
				break
			}
			if err != nil {
				t.Error(err)
			}
			if o == websocket.Sent {
				sent++
			} else {
				buffered++
			}
		}
		if sent == 0 || buffered < 2 {
			t.Errorf("%d sent, %d buffered", sent, buffered)
		}
		if n := c.BufferedAmount(); n < 50_000 || n > 160_000 {
			t.Errorf("BufferedAmount() = %d", n)
		}
		drained := c.Drained()
		select {
		case <-drained:
			t.Error("drained with a peer that doesn't read")
		default:
		}
		ctx, cancel := context.WithCancel(c.Context())
		cancel()
		if err := c.WriteMessage(ctx, websocket.BinaryMessage, msg); !errors.Is(err, context.Canceled) {
			t.Errorf("WriteMessage without room = %v", err)
		}
		if err := c.Flush(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Flush = %v", err)
		}
		total <- 1 + sent + buffered
		close(blocked)
		<-drained
		if err := c.Flush(c.Context()); err != nil || c.BufferedAmount() != 0 {
			t.Errorf("Flush = %v with %d bytes left", err, c.BufferedAmount())
		}
	}})
	r := dialRaw(t, url)
	<-blocked
	for range <-total {
		if got := r.frame(); got[:3] != "81 " && got[:3] != "82 " {
			t.Fatalf("got %.20q", got)
		}
	}
	r.want("close 1000")
}

func TestSend_RefusesWhatIsNoMessage(t *testing.T) {
	with(t, websocket.Config{}, hello, func(t *testing.T, c *websocket.Conn, r *raw) {
		for want, err := range map[error]error{
			websocket.ErrInvalidUTF8: c.WriteMessage(t.Context(), websocket.TextMessage, []byte("\xff")),
			websocket.ErrMessageType: c.WriteMessage(t.Context(), 8, nil),
			websocket.ErrCloseCode:   c.Close(1005+1, ""),
		} {
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		if _, err := websocket.Prepare(websocket.TextMessage, []byte("\xff")); !errors.Is(err, websocket.ErrInvalidUTF8) {
			t.Errorf("Prepare = %v", err)
		}
	})
}

func TestWriteMessage_WaitsForRoom(t *testing.T) {
	with(t, websocket.Config{MaxQueued: 2, MaxStall: time.Hour}, hello, func(t *testing.T, c *websocket.Conn, r *raw) {
		big := strings.Repeat("x", 200_000)
		for range 3 { // one is being sent
			if err := c.WriteMessage(t.Context(), websocket.TextMessage, []byte(big)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.WriteMessage(ctx, websocket.TextMessage, []byte("late")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WriteMessage = %v", err)
		}
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				if err := c.WriteMessage(t.Context(), websocket.TextMessage, fmt.Append(nil, i)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		drained := c.Drained()
		for range 3 {
			r.want("81 " + big)
		}
		seen := map[string]bool{}
		for range 10 {
			seen[r.frame()] = true
		}
		wg.Wait()
		<-drained
		if len(seen) != 10 || !seen["81 7"] {
			t.Errorf("%v", seen)
		}
		if err := c.Flush(t.Context()); err != nil || c.BufferedAmount() != 0 {
			t.Errorf("Flush = %v with %d bytes left", err, c.BufferedAmount())
		}
	})
}

func TestWriters_NeverInterleave(t *testing.T) {
	for _, z := range []websocket.Compression{{}, {Enabled: true}, {Enabled: true, Takeover: true}} {
		const writers, each = 6, 50
		url := serveTCP(t, websocket.Config{Compression: z, Handler: func(c *websocket.Conn) {
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for i := range each {
						msg := fmt.Appendf(nil, "%d %d %s", w, i, strings.Repeat(string(rune('a'+w)), i*i*2))
						if err := c.WriteMessage(c.Context(), websocket.TextMessage, msg); err != nil {
							t.Error(err)
						}
						if i%10 == 0 {
							_ = c.WriteJSON(c.Context(), map[string]int{"writer": w})
						}
					}
				})
			}
			wg.Wait()
		}})
		c := dial(t, url, &websocket.DialOptions{Compression: websocket.Compression{Enabled: true, PeerTakeover: true}})
		next := [writers]int{}
		for m, err := range c.Messages(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if m.Data[0] == '{' {
				continue
			}
			var w, i int
			var rest string
			_, _ = fmt.Sscan(string(m.Data), &w, &i, &rest)
			if i != next[w] || rest != strings.Repeat(string(rune('a'+w)), i*i*2) {
				t.Fatalf("writer %d: message %d, want %d", w, i, next[w])
			}
			next[w]++
		}
		for w, n := range next {
			if n != each {
				t.Errorf("%d messages of writer %d", n, w)
			}
		}
	}
}

func TestPrepared_IsLegalForEveryConnection(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcdef"), 5000)
	m, err := websocket.Prepare(websocket.BinaryMessage, long)
	if err != nil {
		t.Fatal(err)
	}
	for name, z := range modes {
		url := serveTCP(t, websocket.Config{Compression: z, Handler: func(c *websocket.Conn) {
			for range 2 {
				_ = c.WriteMessage(c.Context(), websocket.BinaryMessage, long)
				_ = c.WritePreparedMessage(c.Context(), m)
			}
		}})
		c := dial(t, url, &websocket.DialOptions{Compression: z})
		for i := range 4 {
			if _, data, err := c.ReadMessage(t.Context()); err != nil || !bytes.Equal(data, long) {
				t.Errorf("%s, message %d: %d bytes, %v", name, i, len(data), err)
			}
		}
	}
	if m.Type() != websocket.BinaryMessage || !bytes.Equal(m.Bytes(), long) {
		t.Error("Prepare changed the message")
	}
}

func TestPrepared_GoesCompressedOnlyWhereItMay(t *testing.T) {
	m, _ := websocket.Prepare(websocket.TextMessage, bytes.Repeat([]byte("a"), 1000))
	withDeflate := strings.Replace(hello, "\r\n\r\n", "\r\n"+deflateHello, 1)
	for _, row := range []struct {
		head     string
		takeover bool
		want     string
	}{{hello, false, "81"}, {withDeflate, false, "c1"}, {withDeflate, true, "81"}} {
		with(t, websocket.Config{Compression: websocket.Compression{Enabled: true, Takeover: row.takeover}}, row.head, func(t *testing.T, c *websocket.Conn, r *raw) {
			if _, err := c.SendPrepared(m); err != nil {
				t.Error(err)
			}
			if got := r.frame(); got[:2] != row.want {
				t.Errorf("takeover %v: %q, want %s", row.takeover, got, row.want)
			}
		})
	}
}

func TestNextWriter_SendsOneMessage(t *testing.T) {
	with(t, websocket.Config{}, hello, func(t *testing.T, c *websocket.Conn, r *raw) {
		w, err := c.NextWriter(t.Context(), websocket.TextMessage)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, "one ")
		_, _ = c.Send(websocket.TextMessage, []byte("between"))
		fmt.Fprint(w, "message")
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if err := w.Close(); !errors.Is(err, websocket.ErrWriterClosed) {
			t.Errorf("Close again = %v", err)
		}
		if _, err := w.Write(nil); !errors.Is(err, websocket.ErrWriterClosed) {
			t.Errorf("Write after Close = %v", err)
		}
		r.want("81 between")
		r.want("81 one message")
		if _, err := c.NextWriter(t.Context(), 3); !errors.Is(err, websocket.ErrMessageType) {
			t.Errorf("NextWriter = %v", err)
		}
	})
}

func TestPing_WaitsForItsPong(t *testing.T) {
	with(t, websocket.Config{NoKeepalive: true}, hello, func(t *testing.T, c *websocket.Conn, r *raw) {
		c.CloseRead()
		pinged := make(chan error, 2)
		for range 2 {
			go func() { pinged <- c.Ping(t.Context()) }()
		}
		a, b := r.frame(), r.frame()
		r.send(masked(wsproto.Pong, true, "something else"))
		r.send(masked(wsproto.Pong, true, strings.Repeat("\xff", 8))) // of no ping that was sent
		synctest.Wait()
		if len(pinged) != 0 {
			t.Error("answered by another pong")
		}
		r.send(masked(wsproto.Pong, true, max(a, b)[3:])) // answers those before too
		if err := errors.Join(<-pinged, <-pinged); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ping without an answer = %v", err)
		}
	})
}

func TestCloseRead_TakesNoMessage(t *testing.T) {
	with(t, websocket.Config{}, hello, func(t *testing.T, c *websocket.Conn, r *raw) {
		ctx := c.CloseRead()
		r.send(text("surprise"))
		r.want("close 1008 unexpected message")
		r.send(masked(wsproto.Close, true, "\x03\xf0"))
		<-ctx.Done()
	})
}
