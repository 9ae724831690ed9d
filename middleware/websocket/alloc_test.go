package websocket_test

import (
	"io"
	"runtime"
	"testing"

	"github.com/goceleris/celeris/middleware/websocket"
)

// mirror sends one frame at a time and reads its echo.
func mirror(t testing.TB, cfg websocket.Config) func() {
	t.Helper()
	cfg.Handler = echo
	r := dialRaw(t, serveTCP(t, cfg))
	in := text("hello, hello")
	out := make([]byte, 2+12)
	return func() {
		if _, err := r.Write(in); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r.br, out); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEcho_AllocatesTheMessage(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	turn := mirror(t, websocket.Config{})
	for range 100 {
		turn()
	}
	if n := testing.AllocsPerRun(1000, turn); n > 1.5 {
		t.Errorf("%v allocations for an echo, want the message's", n)
	}
}

func TestIdle_HoldsNoCompressor(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's memory is counted")
	}
	const n = 200
	held := func(z websocket.Compression) int {
		url := serveTCP(t, websocket.Config{Handler: echo, Compression: z})
		var before, after runtime.MemStats
		runtime.GC()
		runtime.GC() // pools need two
		runtime.ReadMemStats(&before)
		conns := make([]*websocket.Conn, n)
		for i := range conns {
			conns[i] = dial(t, url, &websocket.DialOptions{Compression: z})
			msg := make([]byte, 100_000)
			if err := conns[i].WriteMessage(t.Context(), websocket.BinaryMessage, msg); err != nil {
				t.Fatal(err)
			}
			if _, _, err := conns[i].ReadMessage(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(conns)
		return int(after.HeapAlloc-before.HeapAlloc) / n
	}
	plain, deflate := held(websocket.Compression{}), held(websocket.Compression{Enabled: true})
	t.Logf("%d bytes of heap for a pair of connections, %d with compression", plain, deflate)
	if deflate > plain+4096 {
		t.Errorf("a pair of connections holds %d bytes, %d without compression", deflate, plain)
	}
}

func BenchmarkEcho(b *testing.B) {
	for name, cfg := range map[string]websocket.Config{"plain": {}} {
		b.Run(name, func(b *testing.B) {
			turn := mirror(b, cfg)
			b.ReportAllocs()
			for b.Loop() {
				turn()
			}
		})
	}
}
