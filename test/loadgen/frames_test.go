package loadgen

import (
	"errors"
	"strings"
	"testing"
)

const socketHead = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"

// TestParser_ReadsFramesHoweverTheyAreCut has messages of all forms of length, in fragments and compressed, with control
// frames between them.
func TestParser_ReadsFramesHoweverTheyAreCut(t *testing.T) {
	long := "3 " + strings.Repeat("x", 298)
	huge := "4 " + strings.Repeat("x", 69_998)
	wire := socketHead + "\x81\x031 a" + "\x89\x021 " + "\x01\x012" + "\x8a\x00" + "\x00\x00" + "\x80\x02 b" +
		"\x81\x7e\x01\x2c" + long + "\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x70" + huge +
		"\xc1\x03abc" + "\x41\x019" + "\x80\x00" + "\x81\x029 "
	for piece := 1; piece <= len(wire); piece += 1 + piece/2 {
		p := parser{numbered: true, socket: true}
		for rest := wire; rest != ""; rest = rest[min(piece, len(rest)):] {
			if err := p.feed([]byte(rest[:min(piece, len(rest))])); err != nil {
				t.Fatalf("in pieces of %d: %v", piece, err)
			}
		}
		if p.events != 7 || p.last != 9 || p.missing != 2 || p.duplicates != 0 || p.notices != 0 {
			t.Fatalf("in pieces of %d: %+v", piece, p)
		}
	}
	p := parser{numbered: true, socket: true}
	if err := p.feed([]byte(socketHead + "\x88\x02\x03\xe8")); !errors.Is(err, errClosed) {
		t.Errorf("got %v for a close frame", err)
	}
	p = parser{numbered: true, socket: true}
	if err := p.feed([]byte(chunkedHead)); err == nil {
		t.Error("an answer that is no upgrade passes")
	}
}
