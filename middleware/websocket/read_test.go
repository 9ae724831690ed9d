package websocket_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris/internal/wsproto"
	"github.com/goceleris/celeris/middleware/websocket"
)

// deflated is a compressed frame of a client.
func deflated(s string) []byte {
	return wsproto.AppendFrame(nil, wsproto.Frame{Opcode: wsproto.Text, Fin: true, Compressed: true, Masked: true, Key: 77},
		wsproto.AppendDeflate(nil, []byte(s), nil, 15, 5))
}

var deflating = strings.Replace(hello, "\r\n\r\n", "\r\n"+deflateHello, 1)

func TestReadMessage_GoesOnAfterItsContext(t *testing.T) {
	long := strings.Repeat("0123456789", 10_000)
	for _, in := range [][]byte{text("hello"), text(long), deflated(long), append(masked(wsproto.Text, false, "a"), masked(wsproto.Continuation, true, "b")...)} {
		with(t, websocket.Config{Compression: websocket.Compression{Enabled: true}}, deflating, func(t *testing.T, c *websocket.Conn, r *raw) {
			for _, cut := range []int{0, 1, 3, len(in) / 2, len(in) - 1} {
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, io.ErrShortBuffer)
				go func() { r.send(in[:cut]) }()
				if _, _, err := c.ReadMessage(ctx); !errors.Is(err, io.ErrShortBuffer) {
					t.Fatalf("after %d of %d bytes: %v", cut, len(in), err)
				}
				cancel()
				go func() { r.send(in[cut:]) }()
				typ, data, err := c.ReadMessage(t.Context())
				if s := string(data); typ != websocket.TextMessage || err != nil || s != "hello" && s != long && s != "ab" {
					t.Fatalf("cut after %d of %d bytes: %d bytes, %v", cut, len(in), len(data), err)
				}
			}
			if err := c.Context().Err(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReads_TakeTurns(t *testing.T) {
	with(t, websocket.Config{}, hello, func(t *testing.T, c *websocket.Conn, r *raw) {
		got := make(chan string, 2)
		for range 2 {
			go func() {
				_, data, err := c.ReadMessage(t.Context())
				got <- string(data)
				if err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := c.ReadMessage(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a third read: %v", err)
		}
		r.send(append(text("a"), text("b")...))
		if a, b := <-got, <-got; a+b != "ab" && a+b != "ba" {
			t.Errorf("%q, %q", a, b)
		}
	})
}

func TestNextReader_ReadsAsItComes(t *testing.T) {
	with(t, websocket.Config{Compression: websocket.Compression{Enabled: true}, ReadLimit: 100}, deflating, func(t *testing.T, c *websocket.Conn, r *raw) {
		r.send(masked(wsproto.Text, false, "first "))
		_, m, err := c.NextReader(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		if n, err := m.Read(buf); string(buf[:n]) != "first " || err != nil {
			t.Errorf("%q, %v", buf[:n], err)
		}
		go func() {
			r.send(masked(wsproto.Ping, true, "x"))
			r.send(masked(wsproto.Continuation, true, "second"))
			r.send(masked(wsproto.Binary, true, "skipped"))
			r.send(text(""))
			r.send(deflated(strings.Repeat("z", 90)))
			r.send(deflated(strings.Repeat("y", 90)))
			r.send(text("plain"))
		}()
		if rest, err := io.ReadAll(m); string(rest) != "second" || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
		if n, err := m.Read(buf); n != 0 || err != io.EOF {
			t.Errorf("behind the end: %d, %v", n, err)
		}
		typ, skipped, err := c.NextReader(t.Context())
		if typ != websocket.BinaryMessage || err != nil {
			t.Errorf("%v, %v", typ, err)
		}
		_, empty, err := c.NextReader(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := skipped.Read(buf); !errors.Is(err, websocket.ErrReaderStale) {
			t.Errorf("a stale reader: %v", err)
		}
		if b, err := io.ReadAll(empty); len(b) != 0 || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		_, z, _ := c.NextReader(t.Context())
		if n, err := io.ReadFull(z, buf[:10]); err != nil || string(buf[:n]) != "zzzzzzzzzz" {
			t.Errorf("%q, %v", buf[:n], err)
		}
		_, y, _ := c.NextReader(t.Context())
		if b, err := io.ReadAll(y); string(b) != strings.Repeat("y", 90) || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		if _, data, err := c.ReadMessage(t.Context()); string(data) != "plain" || err != nil {
			t.Errorf("%q, %v", data, err)
		}
		r.want("8a x")
	})
}

func TestNextReader_BoundsAndValidates(t *testing.T) {
	for in, want := range map[string]error{
		string(deflated(strings.Repeat("z", 101))): websocket.ErrMessageTooBig,
		string(deflated("\xff")):                   wsproto.ErrText,
		string(deflated("a\xc3")):                  wsproto.ErrText,
		string(append(masked(wsproto.Text, false, "a"), masked(wsproto.Continuation, true, "\xc3")...)):                      wsproto.ErrText,
		string(append(masked(wsproto.Binary, false, "a"), masked(wsproto.Continuation, false, strings.Repeat("x", 100))...)): websocket.ErrMessageTooBig,
	} {
		with(t, websocket.Config{Compression: websocket.Compression{Enabled: true}, ReadLimit: 100}, deflating, func(t *testing.T, c *websocket.Conn, r *raw) {
			r.send([]byte(in))
			_, m, err := c.NextReader(t.Context())
			if err == nil {
				_, err = io.ReadAll(m)
			}
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
			if _, _, err := c.ReadMessage(t.Context()); !errors.Is(err, want) {
				t.Errorf("then %v, want %v", err, want)
			}
		})
	}
}

func TestMessages_EndWithTheConnection(t *testing.T) {
	for payload, want := range map[string]int{"\x03\xe8": 0, "\x03\xe9": 0, "": 0, "\x0f\xa0": 4000} {
		with(t, websocket.Config{}, hello, func(t *testing.T, c *websocket.Conn, r *raw) {
			r.send(append(append(text("a"), text("b")...), masked(wsproto.Close, true, payload)...))
			var got []byte
			var last error
			for m, err := range c.Messages(t.Context()) {
				got = append(got, m.Data...)
				last = err
			}
			if string(got) != "ab" || want == 0 && last != nil || want != 0 && websocket.CloseCode(last) != want {
				t.Errorf("%q, %v", got, last)
			}
		})
	}
}

func TestReadJSON_KeepsTheConnection(t *testing.T) {
	with(t, websocket.Config{}, hello, func(t *testing.T, c *websocket.Conn, r *raw) {
		r.send(append(text("{"), text(`{"a":1}`)...))
		var v struct{ A int }
		if err := c.ReadJSON(t.Context(), &v); err == nil {
			t.Error("half an object was taken")
		}
		if err := c.ReadJSON(t.Context(), &v); err != nil || v.A != 1 {
			t.Errorf("%+v, %v", v, err)
		}
		if err := c.WriteJSON(t.Context(), func() {}); err == nil {
			t.Error("a function was encoded")
		}
		if err := c.WriteJSON(t.Context(), v); err != nil {
			t.Error(err)
		}
		r.want(`81 {"A":1}`)
	})
}
