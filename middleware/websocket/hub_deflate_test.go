package websocket_test

import (
	"bytes"
	"compress/flate"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/engine/sim"
	"github.com/goceleris/celeris/middleware/websocket"
)

// reader decodes messages with the inflater of the standard library.
type reader struct {
	*raw
	takeover bool
	past     []byte
	deflated int
}

// message reads a message, compressed or not.
func (r *reader) message() string {
	r.t.Helper()
	got := r.frame()
	first, payload, _ := strings.Cut(got, " ")
	switch first {
	case "81":
		return payload
	case "c1":
	default:
		return got
	}
	r.deflated++
	z := flate.NewReaderDict(io.MultiReader(strings.NewReader(payload), bytes.NewReader([]byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff})), r.past)
	out, err := io.ReadAll(z)
	if err != nil {
		r.t.Errorf("inflate %s: %v", hex.EncodeToString([]byte(payload)[:min(40, len(payload))]), err)
	}
	if r.takeover {
		r.past = append(r.past, out...)
		r.past = r.past[max(0, len(r.past)-32<<10):]
	}
	return string(out)
}

// Broadcasts, which are compressed once for all, lie between private messages, some of which refer to earlier ones.
func TestHub_CompressedMessagesAreRightForEverybody(t *testing.T) {
	for _, parks := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			hub := websocket.NewHub(websocket.HubConfig{Logger: quiet})
			conns := make(chan *websocket.Conn, 1)
			s := newSite(celeris.Config{Logger: quiet})
			if parks {
				s.sim = sim.New()
			}
			for path, takeover := range map[string]bool{"/a": true, "/b": false} {
				s.GET(path, websocket.New(websocket.Config{
					Compression: websocket.Compression{Enabled: true, Takeover: takeover}, Logger: quiet,
					OnOpen: func(c *websocket.Conn) {
						if _, err := hub.Register(c, "room"); err != nil {
							t.Error(err)
						}
						conns <- c
					},
				}))
			}
			s.start(t)
			var readers []*reader
			var private []*websocket.Conn
			add := func(path, offer string, takeover bool) {
				head := strings.Replace(hello, "/a", path, 1)
				if offer != "" {
					head = strings.TrimSuffix(head, "\r\n") + "Sec-WebSocket-Extensions: " + offer + "\r\n\r\n"
				}
				readers = append(readers, &reader{raw: s.open(t, head), takeover: takeover})
				private = append(private, <-conns)
			}
			say := func(n int) string {
				return fmt.Sprintf("%d: %s", n, strings.Repeat(fmt.Sprintf("the message %d of the day, ", n%7), 20+n))
			}
			n := 0
			round := func() {
				for range 5 {
					n++
					if _, err := hub.BroadcastTo("room", txt, []byte(say(n))); err != nil {
						t.Fatal(err)
					}
					for i, c := range private {
						if _, err := c.Send(txt, []byte("private "+say(n+i))); err != nil {
							t.Fatal(err)
						}
					}
					m, _ := websocket.Prepare(txt, []byte("prepared "+say(n)))
					if _, err := hub.BroadcastPrepared(m, "room"); err != nil {
						t.Fatal(err)
					}
					if _, err := hub.BroadcastFilter(txt, []byte("filtered "+say(n)), func(*websocket.Conn) bool { return true }); err != nil {
						t.Fatal(err)
					}
					for i, r := range readers {
						for _, want := range []string{say(n), "private " + say(n+i), "prepared " + say(n), "filtered " + say(n)} {
							if got := r.message(); got != want {
								t.Fatalf("connection %d, round %d: got %.60q, want %.60q", i, n, got, want)
							}
						}
					}
				}
			}
			add("/b", "", false)
			round() // nobody compresses
			add("/a", "permessage-deflate", true)
			round() // who does refers to earlier messages: what all get is not for him
			if readers[1].deflated != 5 {
				t.Errorf("with takeover %d messages came compressed, want the private ones", readers[1].deflated)
			}
			add("/b", "permessage-deflate", false)
			round()
			for bits := 15; bits >= 9; bits-- { // they come between broadcasts
				add("/b", fmt.Sprintf("permessage-deflate; server_max_window_bits=%d", bits), false)
				add("/a", fmt.Sprintf("permessage-deflate; server_no_context_takeover; server_max_window_bits=%d", bits), false)
				round()
			}
			for i, r := range readers[2:] {
				if r.deflated < 4*5 {
					t.Errorf("connection %d: %d messages came compressed", i+2, r.deflated)
				}
			}
			for i := len(readers) - 1; i > 2; i-- { // and go
				readers[i].Close()
				readers, private = readers[:i], private[:i]
				synctest.Wait()
				if i%5 == 0 {
					round()
				}
			}
			for _, r := range readers {
				r.Close()
			}
			if err := hub.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
