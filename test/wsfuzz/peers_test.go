package wsfuzz

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	coder "github.com/coder/websocket"
	"github.com/gorilla/websocket"

	wsspec "github.com/goceleris/celeris/test/spec/websocket"
)

const readLimit = 1 << 20

// TestSuite_JudgesOthersAsTheyAre has the conformance suite judge servers that others wrote: what it finds are
// the things that they are known to do otherwise.
func TestSuite_JudgesOthersAsTheyAre(t *testing.T) {
	for name, peer := range map[string]struct {
		handler http.HandlerFunc
		known   []string
	}{
		"gorilla": {gorillaEcho, gorillaDeviates},
		"coder":   {coderEcho, coderDeviates},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(peer.handler)
			t.Cleanup(server.Close)
			target := wsspec.Target{
				Dial: func(ctx context.Context) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(server.URL, "http://"))
				},
				Deflate: true, ReadLimit: readLimit, Patience: 20 * time.Second,
			}
			undisputed := func(name string) bool { return !deviates(peer.known, name) }
			for name, err := range wsspec.Check(t.Context(), target, undisputed) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// deviates reports whether a name matches one of the expressions.
func deviates(known []string, name string) bool {
	return slices.ContainsFunc(known, func(k string) bool { return regexp.MustCompile(k).MatchString(name) })
}

func gorillaEcho(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{EnableCompression: true}
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	defer c.Close()
	c.SetReadLimit(readLimit)
	for {
		kind, data, err := c.ReadMessage()
		if err != nil {
			return
		}
		if kind == websocket.TextMessage && !utf8.Valid(data) { // its documentation leaves that to the application
			m := websocket.FormatCloseMessage(websocket.CloseInvalidFramePayloadData, "")
			_ = c.WriteControl(websocket.CloseMessage, m, time.Now().Add(time.Second)) // the connection ends anyway
			return
		}
		if c.WriteMessage(kind, data) != nil {
			return
		}
	}
}

func coderEcho(w http.ResponseWriter, r *http.Request) {
	c, err := coder.Accept(w, r, &coder.AcceptOptions{CompressionMode: coder.CompressionContextTakeover})
	if err != nil {
		return // Accept has answered
	}
	defer c.CloseNow()
	c.SetReadLimit(readLimit)
	for {
		kind, data, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if kind == coder.MessageText && !utf8.Valid(data) { // neither does it look
			_ = c.Close(coder.StatusInvalidFramePayloadData, "") // the connection ends anyway
			return
		}
		if c.Write(r.Context(), kind, data) != nil {
			return
		}
	}
}

// lax is what neither looks at: text before it is whole, lengths that aren't minimal, a reserved bit before the second byte
// of a header, what a bomb inflates to before it is whole, a connection that is closed with input unread, and the grammar of
// offers.
var lax = []string{
	`^8\.1/.* is refused (before|at)`,
	`a length of (16|64) bits (is|are) refused`,
	`^5\.2/.*, byte by byte$`,
	`^5\.1/unmasked is refused before`,
	`doesn't destroy the close frame`,
	`^7692\.7\.1/(declines|takes)`,
	`^7692\.7\.2/a bomb`,
	`two keys$`,
	`an old version|a future version`,
	`^8\.1/(the last byte of a long text|0xE2 0x28)`,
	`^7692\.7\.2/a block with BFINAL, then another`,
}

// gorilla ends the connection without a close frame where a length has its top bit set or compressed data is no DEFLATE,
// counts a message's bytes before they are inflated, has RSV1 mean compression on any frame, takes HTTP/1.0 and refuses what
// comes right behind a request. It always answers no context takeover, and no window.
var gorillaDeviates = append([]string{
	`^5\.2/a length (with its top bit|of all ones)`,
	`^5\.2/the largest length`,
	`HTTP/1\.0$|right behind the request`,
	`^5\.5\.1/a reason that`,
	`^7\.4/close 1014`,
	`server_max_window_bits`,
	`^7692\.7\.2/a byte more than the limit when inflated`,
	`^7692\.7\.2/(a block of type 3|a reference|a stored block with|data that ends|rubbish)`,
	`^7692\.7\.2/RSV1 in`,
	`^9\.1/`,
	`^5\.5\.1/a close of one byte`,
}, lax...)

// coder waits for the answer to a close frame that it sends on a failure.
var coderDeviates = append([]string{
	`(is|are) refused`,
	`answered behind a failure`,
	`server_max_window_bits`,
	`5\.4/a continuation of nothing, byte by byte|client_max_window_bits = 10`,
}, lax...)
