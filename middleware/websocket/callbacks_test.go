package websocket_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/celeristest"
	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/engine/sim"
	"github.com/goceleris/celeris/internal/memnet"
	"github.com/goceleris/celeris/middleware/websocket"
)

// back echoes in a callback.
func back(c *websocket.Conn, t websocket.MessageType, data []byte) { _, _ = c.Send(t, data) }

func TestCallbacks_EchoMessagesOfAllSizes(t *testing.T) {
	for name, z := range modes {
		t.Run(name, func(t *testing.T) {
			cfg := websocket.Config{OnMessage: back, Compression: z, ReadLimit: 2 << 20, MaxBacklog: 4 << 20}
			for where, url := range map[string]string{"parked": serveCeleris(t, cfg), "portable": serveTCP(t, cfg)} {
				c := dial(t, url, &websocket.DialOptions{Compression: z, ReadLimit: 2 << 20})
				text := bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog, ähnlich. "), 40_000)
				for _, n := range []int{0, 1, 125, 126, 127, 1000, 4095, 4096, 4097, 65535, 65536, 70_000, 1_500_000} {
					want := bytes.ToValidUTF8(text[n%777:n%777+n], []byte("?"))
					for _, typ := range []websocket.MessageType{websocket.TextMessage, websocket.BinaryMessage} {
						if err := c.WriteMessage(t.Context(), typ, want); err != nil {
							t.Fatal(err)
						}
						got, data, err := c.ReadMessage(t.Context())
						if err != nil || got != typ || !bytes.Equal(data, want) {
							t.Fatalf("%s, %d bytes: %v, %d bytes, %v", where, n, got, len(data), err)
						}
					}
				}
			}
		})
	}
}

var _ = errors.Is
var _ = fmt.Sprint
var _ = strings.Cut
var _ sync.Mutex
var _ = synctest.Test
var _ = time.Now
var _ = celeristest.Serve
var _ = engine.ErrCut
var _ = sim.New
var _ memnet.Conn
var _ celeris.Config
