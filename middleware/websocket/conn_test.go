package websocket_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/websocket"
)

var modes = map[string]websocket.Compression{
	"plain":    {},
	"deflate":  {Enabled: true},
	"takeover": {Enabled: true, Takeover: true, PeerTakeover: true},
	"window 9": {Enabled: true, Takeover: true, PeerTakeover: true, WindowBits: 9, PeerWindowBits: 9},
	"window 8": {Enabled: true, WindowBits: 8, PeerWindowBits: 8},
	"level 9":  {Enabled: true, Takeover: true, PeerTakeover: true, Level: 9},
}

// echoes has messages of all sizes come back from the peer of c.
func echoes(t *testing.T, c *websocket.Conn) {
	t.Helper()
	text := bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog, ähnlich. "), 12_000)
	for _, n := range []int{0, 1, 125, 126, 127, 1000, 4095, 4096, 4097, 65535, 65536, 70_000, 600_000} {
		want := bytes.ToValidUTF8(text[n%777:n%777+n], []byte("?"))
		for _, typ := range []websocket.MessageType{websocket.TextMessage, websocket.BinaryMessage} {
			if err := c.WriteMessage(t.Context(), typ, want); err != nil {
				t.Fatal(err)
			}
			got, data, err := c.ReadMessage(t.Context())
			if err != nil || got != typ || !bytes.Equal(data, want) {
				t.Fatalf("%d bytes: %v, %d bytes, %v", n, got, len(data), err)
			}
		}
	}
}

func TestConn_EchoesMessagesOfAllSizes(t *testing.T) {
	for name, z := range modes {
		t.Run(name, func(t *testing.T) {
			url := serveTCP(t, websocket.Config{Handler: echo, Compression: z, ReadLimit: 2 << 20})
			c := dial(t, url, &websocket.DialOptions{Compression: z, ReadLimit: 2 << 20})
			if c.Compressed() != z.Enabled {
				t.Fatalf("Compressed() = %v", c.Compressed())
			}
			echoes(t, c)
		})
	}
}

func TestConn_ClosesWithAHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		s := serve(t, websocket.Config{Handler: func(c *websocket.Conn) {
			_, _, err := c.ReadMessage(c.Context())
			ended <- err
		}}, celeris.Config{})
		c, err := websocket.Dial(t.Context(), "ws://site/a", s.options())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(4000, "enough"); err != nil {
			t.Errorf("Close = %v", err)
		}
		if e, ok := errors.AsType[*websocket.CloseError](<-ended); !ok || e.Code != 4000 || e.Reason != "enough" || e.Local {
			t.Errorf("the server's read: %v", e)
		}
		if err := c.WriteMessage(t.Context(), websocket.TextMessage, nil); !errors.Is(err, websocket.ErrClosed) {
			t.Errorf("WriteMessage after Close = %v", err)
		}
	})
}
