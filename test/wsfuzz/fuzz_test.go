package wsfuzz

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	coder "github.com/coder/websocket"
	"github.com/gorilla/websocket"

	"github.com/goceleris/celeris/internal/wsproto"
)

// stricter are the reasons for which our parser refuses what gorilla takes.
var stricter = []string{
	"length is not in its shortest form",
	"close frame of one byte",
	"reserved bit is set", // RSV1 on a continuation or a control frame, where gorilla compresses
	"message is too big",  // gorilla counts what is on the wire
	"compressed data are corrupt",
}

// FuzzFrames has the same bytes of a client read by our parser, cut in pieces, and by gorilla: the messages are the same, but
// for what only one of them refuses.
func FuzzFrames(f *testing.F) {
	masked := func(first byte, payload string) []byte {
		b := []byte{first, 0x80 | byte(len(payload)), 1, 2, 3, 4}
		for i := range len(payload) {
			b = append(b, payload[i]^byte(i%4+1))
		}
		return b
	}
	long := func(first byte, n uint64) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{first, 0xFF}, n), 1, 2, 3, 4)
	}
	hello := masked(0x81, "Hello")
	for _, seed := range [][]byte{
		hello, hello[:7], masked(0x82, ""), slices.Concat(masked(0x01, "Hel"), masked(0x89, "ping"), masked(0x80, "lo"), hello),
		masked(0x88, "\x03\xe8bye"), masked(0x88, "\x03"), masked(0x88, "\x03\xe7"), masked(0x80, "x"), slices.Concat(masked(0x01, "a"), hello),
		masked(0xC1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), masked(0xC2, "\x00"), masked(0xC2, ""), masked(0xF1, "x"), masked(0x83, ""), masked(0x8B, "x"),
		masked(0x09, "x"), {0x81, 5, 'H', 'e', 'l', 'l', 'o'}, long(0x82, 5), long(0x82, 1<<63), long(0x82, 1<<40), {0x81, 0xFE, 0, 5, 0, 0, 0, 0},
		append([]byte{0x82, 0xFE, 0, 200, 0, 0, 0, 0}, make([]byte, 200)...), masked(0xC1, "\xff\xff"), slices.Concat(masked(0x41, "\xf2\x48"), masked(0x80, "\xcd\xc9\xc9\x07\x00")),
	} {
		for _, deflate := range []bool{false, true} {
			f.Add(seed, deflate, 3)
		}
	}
	f.Fuzz(func(t *testing.T, frames []byte, deflate bool, size int) {
		if len(frames) > 1<<14 {
			return
		}
		theirs, theirErr := gorillaReads(frames, deflate)
		ours, err := celerisReads(frames, deflate, max(1, min(size, 1<<14)))
		for i, m := range ours {
			if i >= len(theirs) && deflate && m.data == "" && strings.HasPrefix(theirErr.Error(), "flate") {
				return // a compressed message without a byte, which gorilla refuses
			}
			if i >= len(theirs) {
				t.Fatalf("we read %d messages, gorilla %d (%v); the next is %q", len(ours), len(theirs), theirErr, m.data)
			}
			if m != theirs[i] {
				// Data behind a final block is left out by gorilla.
				if deflate && strings.HasPrefix(m.data, theirs[i].data) {
					continue
				}
				t.Fatalf("message %d: we read %q, gorilla %q", i, m.data, theirs[i].data)
			}
		}
		if errors.Is(err, errSplit) {
			return
		}
		if len(theirs) > len(ours) {
			e, ok := errors.AsType[*wsproto.Error](err)
			if !ok || !slices.Contains(stricter, e.Reason) {
				t.Fatalf("gorilla reads on with %q where we stop: %v", theirs[len(ours)].data, err)
			}
		}
	})
}

// FuzzInflate has the same compressed message inflated by us and by gorilla.
func FuzzInflate(f *testing.F) {
	for _, seed := range []string{
		"\x00", "\x02\x00", "\xf2\x48\xcd\xc9\xc9\x07\x00", "\xf3\x48\xcd\xc9\xc9\x07\x00", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
		"\x00\x05\x00\xfa\xffHello\x00", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "\x06", "\xf2\x48\xcd", "\x02\x02\x00\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) == 0 || len(payload) > 1<<14 { // no byte at all is refused by gorilla and taken by us
			return
		}
		frame := append(binary.BigEndian.AppendUint64([]byte{0xC2, 0xFF}, uint64(len(payload))), 0, 0, 0, 0)
		theirs, theirErr := gorillaReads(append(frame, payload...), true)
		var z wsproto.Inflater
		ours, err := z.Append(nil, bytes.Clone(payload), fuzzLimit)
		switch {
		case err == nil && len(theirs) == 0:
			t.Fatalf("we inflate %q to %q, gorilla refuses it: %v", payload, ours, theirErr)
		case err == nil && string(ours) != theirs[0].data && !bytes.HasPrefix(ours, []byte(theirs[0].data)):
			t.Fatalf("we inflate %q to %q, gorilla to %q", payload, ours, theirs[0].data)
		case err != nil && !errors.Is(err, wsproto.ErrTooBig) && len(theirs) > 0 && !bytes.HasPrefix(ours, []byte(theirs[0].data)):
			// Else what is corrupt is behind a final block, where gorilla doesn't look.
			t.Fatalf("gorilla inflates %q to %q, we refuse it: %v", payload, theirs[0].data, err)
		}
	})
}

// FuzzHandshake has the same request judged by us, by gorilla and by coder: what we accept they accept, with the same answer,
// and what both of them accept we refuse for what they don't look at.
func FuzzHandshake(f *testing.F) {
	const good = "GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	f.Add([]byte(good))
	for _, change := range [][2]string{
		{"GET", "POST"}, {"1.1", "1.0"}, {"websocket", "h2c, WebSocket"}, {"websocket", "web socket"}, {"Connection: Upgrade", "Connection: keep-alive, upgrade"},
		{"Connection: Upgrade\r\n", ""}, {"13", "8"}, {"ZQ==", "ZQ"}, {"dGhl", "A"}, {"Host: a.example\r\n", ""}, {"Upgrade: websocket", "Upgrade:websocket,"},
		{"\r\n\r\n", "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"}, {"\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc"}, {"ZQ==", "ZR=="},
	} {
		f.Add([]byte(strings.Replace(good, change[0], change[1], 1)))
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		parse := func() *http.Request {
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
			if err != nil {
				return nil
			}
			r.Header.Del("Origin") // each has rules of its own
			r.Header.Del("Sec-WebSocket-Extensions")
			return r
		}
		r := parse()
		if r == nil {
			return
		}
		ours, refusal := wsproto.Check(r)
		gorilla := accepts(parse(), func(w http.ResponseWriter, r *http.Request) error {
			_, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
			return err
		})
		other := accepts(parse(), func(w http.ResponseWriter, r *http.Request) error {
			_, err := coder.Accept(w, r, nil)
			return err
		})
		if refusal == nil {
			if gorilla == "" || other == "" {
				t.Fatalf("we accept %q, gorilla %q, coder %q", request, gorilla, other)
			}
			if ours.Accept != gorilla || ours.Accept != other {
				t.Fatalf("we answer %q, gorilla %q, coder %q", ours.Accept, gorilla, other)
			}
			return
		}
		if gorilla != "" && other != "" && r.ContentLength == 0 && len(r.TransferEncoding) == 0 && r.Host != "" {
			t.Fatalf("gorilla and coder accept %q, we refuse it: %v", request, refusal)
		}
	})
}

// accepts returns the answer to the key of a handshake that is accepted, "" for one that isn't.
func accepts(r *http.Request, upgrade func(http.ResponseWriter, *http.Request) error) string {
	w := &wire{in: strings.NewReader("")}
	recorder := httptest.NewRecorder()
	if upgrade(hijacked{recorder, w}, r) != nil {
		return ""
	}
	header := recorder.Header()
	if w.said.Len() > 0 {
		response, err := http.ReadResponse(bufio.NewReader(io.MultiReader(&w.said)), r)
		if err != nil {
			return ""
		}
		defer response.Body.Close()
		header = response.Header
	}
	return header.Get("Sec-WebSocket-Accept")
}
