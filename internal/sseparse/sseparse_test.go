package sseparse

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// event is one call of emit.
type event struct{ id, event, data string }

// feed parses the stream in pieces that end at random.
func feed(stream string, seed uint64) (*Parser, []event) {
	p := new(Parser)
	var events []event
	random := rand.New(rand.NewPCG(seed, seed))
	for b := []byte(stream); len(b) > 0; {
		n := 1 + random.IntN(len(b))
		p.Feed(b[:n], func(id, e, data string) { events = append(events, event{id, e, data}) })
		b = b[n:]
	}
	return p, events
}

func TestParser(t *testing.T) {
	tests := map[string]struct {
		stream string
		want   []event
		lastID string
		retry  time.Duration
	}{
		"stock":              {stream: "data: YHOO\ndata: +2\ndata: 10\n\n", want: []event{{"", "", "YHOO\n+2\n10"}}},
		"ids":                {stream: ": test\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n", want: []event{{"1", "", "first"}, {"", "", "second"}}},
		"empty data":         {stream: "data\n\ndata\ndata\n\ndata:", want: []event{{}, {"", "", "\n"}}},
		"types":              {stream: "event: a\ndata: 1\n\nevent: b\n\ndata:  2\n\n", want: []event{{"", "a", "1"}, {"", "", " 2"}}},
		"line ends":          {stream: "data: a\rdata: b\r\n\r\ndata: c\n\rdata: d\r\r", want: []event{{"", "", "a\nb"}, {"", "", "c"}, {"", "", "d"}}},
		"BOM once":           {stream: "\uFEFFdata: a\n\n\uFEFFdata: b\n\n", want: []event{{"", "", "a"}}},
		"id alone, retry":    {stream: "retry: 250\nid: x\n\nid: y\n", lastID: "x", retry: 250 * time.Millisecond},
		"id with NUL":        {stream: "id: x\nid: y\x00\ndata:\n\n", want: []event{{"x", "", ""}}, lastID: "x"},
		"retry, not digits":  {stream: "retry: 1\nretry: 2x\nretry:\nretry:  3\n", retry: time.Millisecond},
		"retry, longest":     {stream: "retry: 9223372036854\n", retry: 9223372036854 * time.Millisecond},
		"retry, longer":      {stream: "retry: 9223372036855\n", retry: 9223372036854 * time.Millisecond},
		"comments, no event": {stream: ":a\n:\n:data: x\n\nfoo: bar\n\n"},
		"bad UTF-8":          {stream: "data: \xe2\x82\xf0\x9fa\xed\xa0\x80\xff\n\n", want: []event{{"", "", "\uFFFD\uFFFDa\uFFFD\uFFFD\uFFFD\uFFFD"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				p, got := feed(tt.stream, seed)
				if !slices.Equal(got, tt.want) || p.LastID() != tt.lastID || p.Retry() != tt.retry {
					t.Fatalf("%q: %+v, id %q, retry %v, want %+v, %q, %v",
						tt.stream, got, p.LastID(), p.Retry(), tt.want, tt.lastID, tt.retry)
				}
			}
		})
	}
}

func TestParser_EmitsWithTheLastByte(t *testing.T) {
	for _, stream := range []string{"data: a\n\n", "data: a\r\r", "data: a\r\n\r"} {
		var p Parser
		n := 0
		emit := func(string, string, string) { n++ }
		p.Feed([]byte(stream[:len(stream)-1]), emit)
		if n != 0 {
			t.Errorf("%q: an event before its blank line", stream)
		}
		p.Feed([]byte(stream[len(stream)-1:]), emit)
		p.Feed([]byte("\n\n\n"), emit)
		if n != 1 {
			t.Errorf("%q: %d events, want 1", stream, n)
		}
	}
}

func TestDecoder_PassesCharacters(t *testing.T) {
	var d decoder
	for want := rune(0); want <= utf8.MaxRune; want++ {
		if want > 0x3000 && want&0xFFF > 0x10 && want&0xFFF < 0xFF0 {
			continue // the middle of a block is like its ends
		}
		if !utf8.ValidRune(want) {
			continue
		}
		var got []rune
		for _, b := range utf8.AppendRune(nil, want) {
			d.decode(b, func(r rune) { got = append(got, r) })
		}
		if len(got) != 1 || got[0] != want {
			t.Fatalf("%U is decoded as %U", want, got)
		}
	}
}

func TestDecoder_RefusesWhatUTF8Refuses(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	bytes := "\x00a\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xff"
	for range 20_000 {
		var input []byte
		for range random.IntN(6) {
			input = append(input, bytes[random.IntN(len(bytes))])
		}
		var got strings.Builder
		var d decoder
		for _, b := range append(slices.Clone(input), '.') {
			d.decode(b, func(r rune) { got.WriteRune(r) })
		}
		// Runs of replacements may differ in length: there the two follow
		// different customs.
		want := strings.ToValidUTF8(string(input), "\uFFFD") + "."
		squeezed := got.String()
		for strings.Contains(squeezed, "\uFFFD\uFFFD") {
			squeezed = strings.ReplaceAll(squeezed, "\uFFFD\uFFFD", "\uFFFD")
		}
		if squeezed != want {
			t.Fatalf("% x is decoded as %q, want %q", input, squeezed, want)
		}
	}
}
