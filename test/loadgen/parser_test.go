package loadgen

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const chunkedHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

// chunks writes a body in chunks of n bytes.
func chunks(body string, n int) string {
	var b strings.Builder
	for body != "" {
		k := min(n, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", k, body[:k])
		body = body[k:]
	}
	return b.String()
}

// TestParser_ReadsChunksHoweverTheyAreCut has chunks of many sizes, read in pieces of many sizes.
func TestParser_ReadsChunksHoweverTheyAreCut(t *testing.T) {
	const body = "id: \ndata: 1 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n\n: data: 7\n\ndata: 2 a\n\ndata: 4 b\n\ndata: 3 c\n\ndata: {}\n\ndata:12 d\n\n"
	for size := 1; size <= len(body); size += 1 + size/8 {
		wire := chunkedHead + chunks(body, size)
		for piece := 1; piece <= len(wire); piece += 1 + piece/2 {
			p := parser{numbered: true}
			for rest := wire; rest != ""; rest = rest[min(piece, len(rest)):] {
				if err := p.feed([]byte(rest[:min(piece, len(rest))])); err != nil {
					t.Fatalf("chunks of %d in pieces of %d: %v", size, piece, err)
				}
			}
			if p.events != 5 || p.last != 12 || p.missing != 8 || p.duplicates != 1 || p.notices != 1 || !p.opened {
				t.Fatalf("chunks of %d in pieces of %d: %+v", size, piece, p)
			}
		}
	}
}

func TestParser_TellsTheEndOfAChunkedResponse(t *testing.T) {
	p := parser{numbered: true}
	if err := p.feed([]byte(chunkedHead + chunks("data: 1\n\n", 100) + "0\r\n\r\n")); !errors.Is(err, errEnd) || p.last != 1 {
		t.Errorf("got %v after event %d, want %v after 1", err, p.last, errEnd)
	}
	for _, broken := range []string{"x\r\n", "1\r\nab\r\n"} {
		p := parser{}
		if err := p.feed([]byte(chunkedHead + broken)); err == nil {
			t.Errorf("%q is no chunk, but was read as one", broken)
		}
	}
}
