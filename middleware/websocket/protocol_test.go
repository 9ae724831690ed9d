package websocket_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/internal/wsproto"
	"github.com/goceleris/celeris/middleware/websocket"
)

// session runs a raw peer against a handler in a bubble and returns what the handler's last read returned.
func session(t *testing.T, cfg websocket.Config, head string, peer func(r *raw)) (last error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		cfg.Handler = func(c *websocket.Conn) {
			for {
				typ, data, err := c.ReadMessage(c.Context())
				if err != nil {
					ended <- err
					return
				}
				_ = c.WriteMessage(c.Context(), typ, data)
			}
		}
		s := serve(t, cfg, celeris.Config{})
		r := s.open(t, head)
		peer(r)
		r.Close()
		last = <-ended
	})
	return last
}

// violations are what peers do wrong, and the codes that say so.
var violations = map[string]struct {
	in   string
	code int
}{
	"unmasked":                            {"\x81\x01a", 1002},
	"reserved bit":                        {"\xc1\x80\x00\x00\x00\x00", 1002},
	"too big":                             {string(masked(wsproto.Binary, true, strings.Repeat("x", 1001))), 1009},
	"text that is not UTF-8":              {string(text("a\xff")), 1007},
	"text cut in a character":             {string(text("a\xc3")), 1007},
	"text not UTF-8, not all of it there": {string(text("aaaa\xff" + strings.Repeat("b", 500)))[:20], 1007},
	"close of one byte":                   {string(masked(wsproto.Close, true, "\x03")), 1002},
	"close with 1005":                     {string(masked(wsproto.Close, true, "\x03\xed")), 1002},
	"close reason not UTF-8":              {string(masked(wsproto.Close, true, "\x03\xe8\xff")), 1007},
}

func TestConn_AnswersViolations(t *testing.T) {
	for name, row := range violations {
		t.Run(name, func(t *testing.T) {
			last := session(t, websocket.Config{ReadLimit: 1000}, hello, func(r *raw) {
				r.send([]byte(row.in))
				if got := r.frame(); !strings.HasPrefix(got, fmt.Sprintf("close %d ", row.code)) {
					t.Errorf("answered by %q", got)
				}
				if got := r.frame(); got != "EOF" {
					t.Errorf("then %q, want the end", got)
				}
			})
			if e, ok := errors.AsType[*websocket.ProtocolError](last); !ok || e.Code != row.code {
				t.Errorf("the handler got %v", last)
			}
		})
	}
}

func TestConn_BoundsWhatItInflates(t *testing.T) {
	bomb := wsproto.AppendDeflate(nil, make([]byte, 1<<20), nil, 15, 9)
	in := wsproto.AppendFrame(nil, wsproto.Frame{Opcode: wsproto.Binary, Fin: true, Compressed: true, Masked: true}, bomb)
	last := session(t, websocket.Config{ReadLimit: 10_000, Compression: websocket.Compression{Enabled: true}},
		strings.Replace(hello, "\r\n\r\n", "\r\n"+deflateHello, 1), func(r *raw) {
			r.send(in)
			r.want("close 1009 message is too big")
		})
	if !errors.Is(last, websocket.ErrMessageTooBig) {
		t.Errorf("the handler got %v", last)
	}
}

func TestConn_EchoesCloseFrames(t *testing.T) {
	for in, want := range map[string]string{
		"\x03\xe8": "close 1000", "\x0f\xa0bye": "close 4000", "": "88 ",
	} {
		last := session(t, websocket.Config{}, hello, func(r *raw) {
			r.send(append(text("last"), masked(wsproto.Close, true, in)...))
			r.want("81 last")
			r.want(want)
			r.want("EOF")
		})
		e, ok := errors.AsType[*websocket.CloseError](last)
		if !ok || e.Local || in == "" && e.Code != 1005 || strings.HasSuffix(in, "bye") && e.Reason != "bye" {
			t.Errorf("%q: the handler got %#v", in, last)
		}
	}
}

func TestConn_AnswersPingsWithinMessages(t *testing.T) {
	session(t, websocket.Config{}, hello, func(r *raw) {
		r.send(masked(wsproto.Text, false, "a"))
		r.send(masked(wsproto.Ping, true, "1"))
		r.want("8a 1")
		r.send(masked(wsproto.Continuation, false, "b"))
		r.send(masked(wsproto.Pong, true, "nobody asked"))
		r.send(masked(wsproto.Ping, true, ""))
		r.want("8a ")
		r.send(masked(wsproto.Continuation, true, ""))
		r.want("81 ab")
	})
}

func TestConn_TakesTextCutWithinCharacters(t *testing.T) {
	session(t, websocket.Config{}, hello, func(r *raw) {
		const s = "κόσμε🎉"
		for i := range len(s) {
			op := wsproto.Continuation
			if i == 0 {
				op = wsproto.Text
			}
			r.send(masked(op, i == len(s)-1, s[i:i+1]))
		}
		r.want("81 " + s)
	})
}

func TestConn_ComesOneByteASecond(t *testing.T) {
	session(t, websocket.Config{}, hello, func(r *raw) {
		for _, c := range text("slow and steady") {
			time.Sleep(time.Second)
			r.send([]byte{c})
		}
		r.want("81 slow and steady")
	})
}

// Whatever the point at which a connection breaks, the handler is told, and nothing is left.
func TestConn_BreaksAtEveryPoint(t *testing.T) {
	in := append(masked(wsproto.Text, false, "abc"), masked(wsproto.Ping, true, "xyz")...)
	in = append(in, masked(wsproto.Continuation, true, strings.Repeat("d", 130))...)
	for _, reset := range []bool{false, true} {
		for n := range in {
			last := session(t, websocket.Config{}, hello, func(r *raw) {
				r.send(in[:n])
				synctest.Wait()
				if reset {
					r.Conn.(interface{ Reset() }).Reset()
				} else {
					r.Close()
				}
			})
			if !strings.Contains(last.Error(), "peer is gone") {
				t.Fatalf("cut after %d bytes: %v", n, last)
			}
		}
	}
}

func TestHandshake_BreaksAtEveryPoint(t *testing.T) {
	for n := range len(hello) {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, websocket.Config{Handler: func(*websocket.Conn) { t.Error("the handler runs") }}, celeris.Config{})
			nc, err := s.l.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(nc, hello[:n]); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			nc.Reset()
		})
	}
}

func TestConn_FloodOfPingsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conn *websocket.Conn
		s := serve(t, websocket.Config{MaxStall: time.Hour, Handler: func(c *websocket.Conn) {
			conn = c
			echo(c)
		}}, celeris.Config{})
		r := s.open(t, hello)
		ping := masked(wsproto.Ping, true, strings.Repeat("p", 125))
		for range 50_000 { // 6 MB of pongs that nobody reads
			r.send(ping)
		}
		synctest.Wait()
		if n := conn.BufferedAmount(); n > 17<<10 {
			t.Errorf("%d bytes wait", n)
		}
		pongs := 0
		r.send(masked(wsproto.Ping, true, "last"))
		for {
			got := r.frame()
			if got == "8a last" {
				break
			}
			if pongs++; !strings.HasPrefix(got, "8a ppp") {
				t.Fatalf("got %q", got)
			}
		}
		if pongs == 0 || pongs > 40_000 {
			t.Errorf("%d pongs", pongs)
		}
		r.Close()
	})
}

func TestConn_TakesMegabytesInFragmentsOfAByte(t *testing.T) {
	size := 10 << 20
	if raceEnabled {
		size = 256 << 10
	}
	got := make(chan int, 1)
	url := serveTCP(t, websocket.Config{ReadLimit: int64(size), Handler: func(c *websocket.Conn) {
		_, data, err := c.ReadMessage(c.Context())
		if err != nil {
			t.Error(err)
		}
		got <- cap(data)
	}})
	dialRaw(t, url).crumble(size)
	if n := <-got; n < size || n > 2*size {
		t.Errorf("%d bytes are kept for %d", n, size)
	}
}

// crumble sends a message of many kilobytes in fragments of a byte.
func (r *raw) crumble(size int) {
	r.t.Helper()
	frames := func(op wsproto.Opcode, n int, fin bool) []byte {
		var b []byte
		for i := range n {
			b = wsproto.AppendFrame(b, wsproto.Frame{Opcode: op, Fin: fin && i == n-1, Masked: true}, []byte("x"))
			op = wsproto.Continuation
		}
		return b
	}
	r.send(frames(wsproto.Binary, 1<<10, false))
	block := frames(wsproto.Continuation, 1<<10, false)
	for range size>>10 - 2 {
		r.send(block)
	}
	r.send(frames(wsproto.Continuation, 1<<10, true))
}

func TestConn_EmptyMessagesCostNothing(t *testing.T) {
	const n = 100_000
	done := make(chan int, 1)
	url := serveTCP(t, websocket.Config{Handler: func(c *websocket.Conn) {
		seen := 0
		for _, err := range c.Messages(c.Context()) {
			if err != nil {
				t.Error(err)
			}
			seen++
		}
		done <- seen
	}})
	r := dialRaw(t, url)
	block := strings.Repeat(string(text("")), 1000)
	for range n / 1000 {
		r.send([]byte(block))
	}
	r.send(masked(wsproto.Close, true, "\x03\xe8"))
	if got := <-done; got != n {
		t.Errorf("%d messages, want %d", got, n)
	}
	r.want("close 1000")
}
