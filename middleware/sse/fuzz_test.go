package sse_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/goceleris/celeris/internal/sseparse"
	"github.com/goceleris/celeris/middleware/sse"
)

// referenceRead parses a whole stream line by line, in the simplest way that is
// right and with no limit.
func referenceRead(stream string) (events []sse.Event, lastID string, retry time.Duration) {
	stream = strings.TrimPrefix(stream, "\uFEFF")
	stream = strings.ReplaceAll(stream, "\r\n", "\n")
	stream = strings.ReplaceAll(stream, "\r", "\n")
	lines := strings.Split(referenceDecode(stream), "\n")
	lines = lines[:len(lines)-1] // what has no line end is no line

	var data []string
	var id, eventType string
	var newRetry time.Duration
	for _, line := range lines {
		if line == "" {
			lastID = id
			if len(data) > 0 {
				events = append(events, sse.Event{ID: id, Event: eventType, Data: strings.Join(data, "\n"), Retry: newRetry})
				newRetry = 0
			}
			data, eventType = nil, ""
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			data = append(data, value)
		case "event":
			eventType = value
		case "id":
			if !strings.Contains(value, "\x00") {
				id = value
			}
		case "retry":
			if regexp.MustCompile(`^[0-9]+$`).MatchString(value) {
				// More digits than these are more than a Duration holds.
				value = strings.TrimLeft(value, "0")
				ms := int64(9223372036854)
				if len(value) <= 13 {
					n := int64(0)
					for _, digit := range value {
						n = n*10 + int64(digit-'0')
					}
					ms = min(n, ms)
				}
				retry = time.Duration(ms) * time.Millisecond
				newRetry = retry
			}
		}
	}
	return events, lastID, retry
}

// cutCharacter matches what begins a character in UTF-8 without finishing it.
// It is matched against bytes widened to runes.
var cutCharacter = regexp.MustCompile(`^(?:[\x{C2}-\x{DF}]` +
	`|\x{E0}[\x{A0}-\x{BF}]?|[\x{E1}-\x{EC}\x{EE}\x{EF}][\x{80}-\x{BF}]?|\x{ED}[\x{80}-\x{9F}]?` +
	`|\x{F0}(?:[\x{90}-\x{BF}][\x{80}-\x{BF}]?)?|[\x{F1}-\x{F3}](?:[\x{80}-\x{BF}][\x{80}-\x{BF}]?)?` +
	`|\x{F4}(?:[\x{80}-\x{8F}][\x{80}-\x{BF}]?)?)`)

// referenceDecode replaces each maximal subpart of bad UTF-8 by U+FFFD.
func referenceDecode(s string) string {
	var out strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			wide := make([]rune, 0, 4)
			for i := range min(4, len(s)) {
				wide = append(wide, rune(s[i]))
			}
			n = max(1, utf8.RuneCountInString(cutCharacter.FindString(string(wide))))
		}
		out.WriteRune(r)
		s = s[n:]
	}
	return out.String()
}

// pieceReader returns its stream in pieces of random length.
type pieceReader struct {
	stream string
	random *rand.Rand
}

func (r *pieceReader) Read(p []byte) (int, error) {
	if r.stream == "" {
		return 0, io.EOF
	}
	n := copy(p, r.stream[:min(len(r.stream), 1+r.random.IntN(8))])
	r.stream = r.stream[n:]
	return n, nil
}

// checkRead compares Reader and sseparse.Parser with the reference, on a stream
// cut at random.
func checkRead(t *testing.T, stream string, seed uint64) {
	t.Helper()
	want, wantID, wantRetry := referenceRead(stream)

	reader := sse.NewReader(&pieceReader{stream, rand.New(rand.NewPCG(seed, 1))}, nil)
	var got []sse.Event
	for {
		event, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("Next: %v", err)
		}
		got = append(got, event)
	}
	if !slices.Equal(got, want) || reader.LastEventID() != wantID || reader.Retry() != wantRetry {
		t.Errorf("Reader on %q\n got %+v, id %q, retry %v\nwant %+v, id %q, retry %v",
			stream, got, reader.LastEventID(), reader.Retry(), want, wantID, wantRetry)
	}

	var parser sseparse.Parser
	got = nil
	source := &pieceReader{stream, rand.New(rand.NewPCG(seed, 2))}
	piece := make([]byte, 16)
	for {
		n, err := source.Read(piece)
		if err != nil {
			break
		}
		parser.Feed(piece[:n], func(id, event, data string) {
			got = append(got, sse.Event{ID: id, Event: event, Data: data})
		})
	}
	for i := range want {
		want[i].Retry = 0
	}
	if !slices.Equal(got, want) || parser.LastID() != wantID || parser.Retry() != wantRetry {
		t.Errorf("sseparse on %q\n got %+v, id %q, retry %v\nwant %+v, id %q, retry %v",
			stream, got, parser.LastID(), parser.Retry(), want, wantID, wantRetry)
	}
}

func FuzzRead(f *testing.F) {
	for _, tt := range readTests {
		f.Add(tt.stream, uint64(len(tt.stream)))
	}
	f.Fuzz(func(t *testing.T, stream string, seed uint64) {
		if len(stream) > 1<<20 {
			t.Skip("the reader's size limit may strike")
		}
		checkRead(t, stream, seed)
	})
}

// TestRead_AgreesWithTheReference builds streams from the pieces that matter.
func TestRead_AgreesWithTheReference(t *testing.T) {
	pieces := []string{
		"data", "event", "id", "retry", ":", ": ", " ", "\n", "\n", "\r", "\r\n", "\n\n", "x", "12", "\x00",
		"\uFEFF", "\xef", "\xbb", "\xbf", "\xe2\x82", "\xff", "ü", "data: a\n", "id: 1\n", "retry: 5\n", ":\n", "99999999999999",
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5_000 {
		var stream strings.Builder
		for range random.IntN(20) {
			stream.WriteString(pieces[random.IntN(len(pieces))])
		}
		checkRead(t, stream.String(), random.Uint64())
		if t.Failed() {
			return
		}
	}
}

func FuzzAppendTo(f *testing.F) {
	f.Add("", "", "", "", int64(0))
	f.Add("1", "tick", "hello", "key", int64(3*time.Second))
	f.Add(" ", " : ", " a\r\nb\rc\n\n", "", int64(time.Millisecond))
	f.Add("\uFEFF", "\uFEFF", "\uFEFF\x00", "", int64(1))
	f.Add("a\nb", "a\rb", "\xff", "\xff", int64(-1))
	f.Add("a\x00", "\x00", "data: x", "", int64(1<<63-1))
	f.Fuzz(func(t *testing.T, id, eventType, data, key string, retry int64) {
		event := sse.Event{ID: id, Event: eventType, Data: data, Key: key, Retry: time.Duration(retry)}
		bad := strings.ContainsAny(id+eventType, "\r\n\x00") || retry < 0 || retry%1e6 != 0
		for _, s := range []string{id, eventType, data, key} {
			bad = bad || !utf8.ValidString(s)
		}
		got, err := event.AppendTo(nil)
		if _, ok := errors.AsType[*sse.EncodeError](err); ok != bad || err != nil && !ok {
			t.Fatalf("AppendTo(%+v) = %v, want an *EncodeError: %t", event, err, bad)
		}
		if bad {
			if len(got) > 0 {
				t.Errorf("AppendTo(%+v) wrote %q behind an error", event, got)
			}
			return
		}
		if len(got) > 1<<20 {
			t.Skip("the reader's size limit may strike")
		}
		want := event
		want.Key = ""
		want.Data = strings.ReplaceAll(strings.ReplaceAll(data, "\r\n", "\n"), "\r", "\n")
		events, err := readAll(sse.Read(strings.NewReader(string(got) + string(got))))
		twice := []sse.Event{want, want}
		if err != nil || !slices.Equal(events, twice) {
			t.Errorf("AppendTo(%+v) = %q, which reads as %+v, %v", event, got, events, err)
		}
		var parser sseparse.Parser
		n := 0
		parser.Feed(got, func(id, eventType, data string) {
			n++
			if id != want.ID || eventType != want.Event || data != want.Data {
				t.Errorf("AppendTo(%+v) = %q, which reads as %q, %q, %q", event, got, id, eventType, data)
			}
		})
		if n != 1 || parser.Retry() != want.Retry {
			t.Errorf("AppendTo(%+v) = %q: %d events, retry %v", event, got, n, parser.Retry())
		}
	})
}
