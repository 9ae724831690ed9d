package sse_test

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

// readAll returns the events of the stream and the error that ended it.
func readAll(seq iter.Seq2[sse.Event, error]) (events []sse.Event, err error) {
	for event, e := range seq {
		if e != nil {
			err = e
			continue
		}
		events = append(events, event)
	}
	return events, err
}

// readTests are streams and what the standard makes of them.
var readTests = map[string]struct {
	stream string
	want   []sse.Event
}{
	"empty stream":                 {"", nil},
	"one event":                    {"data: hello\n\n", []sse.Event{{Data: "hello"}}},
	"standard, stock":              {"data: YHOO\ndata: +2\ndata: 10\n\n", []sse.Event{{Data: "YHOO\n+2\n10"}}},
	"standard, ids":                {": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n", []sse.Event{{ID: "1", Data: "first event"}, {Data: "second event"}}},
	"standard, empty data":         {"data\n\ndata\ndata\n\ndata:", []sse.Event{{}, {Data: "\n"}}},
	"standard, optional space":     {"data:test\n\ndata: test\n\n", []sse.Event{{Data: "test"}, {Data: "test"}}},
	"only one space goes":          {"data:   x \n\n", []sse.Event{{Data: "  x "}}},
	"tab stays":                    {"data:\tx\n\n", []sse.Event{{Data: "\tx"}}},
	"CR":                           {"data: a\rdata: b\r\rdata: c\r\r", []sse.Event{{Data: "a\nb"}, {Data: "c"}}},
	"CRLF":                         {"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", []sse.Event{{Data: "a\nb"}, {Data: "c"}}},
	"mixed line ends":              {"data: a\r\ndata: b\rdata: c\n\r", []sse.Event{{Data: "a\nb\nc"}}},
	"LFCRLF is two ends":           {"data: a\n\r\ndata: b\n\n", []sse.Event{{Data: "a"}, {Data: "b"}}},
	"BOM":                          {"\uFEFFdata: a\n\n", []sse.Event{{Data: "a"}}},
	"only one BOM":                 {"\uFEFF\uFEFFdata: a\n\ndata: b\n\n", []sse.Event{{Data: "b"}}},
	"BOM before a comment":         {"\uFEFF:x\ndata: a\n\n", []sse.Event{{Data: "a"}}},
	"BOM before a line end":        {"\uFEFF\ndata: a\n\n", []sse.Event{{Data: "a"}}},
	"BOM later":                    {"data: a\n\n\uFEFFdata: b\n\ndata: \uFEFFc\n\n", []sse.Event{{Data: "a"}, {Data: "\uFEFFc"}}},
	"beginning of a BOM":           {"\xef\xbbdata: a\n\ndata: b\n\n", []sse.Event{{Data: "b"}}},
	"comments":                     {":\n:a\ndata: a\n: data: b\n:\n\n:c\n\n", []sse.Event{{Data: "a"}}},
	"no colon":                     {"data\ndatab\n\n", []sse.Event{{}}},
	"unknown fields":               {"Data: x\ndata : x\n data: x\nfoo: x\ndata: a\n\n", []sse.Event{{Data: "a"}}},
	"colons in the value":          {"data: a: b:c\n\ndata::\n\n", []sse.Event{{Data: "a: b:c"}, {Data: ":"}}},
	"event type":                   {"event: a\nevent: b\ndata: x\n\ndata: y\n\n", []sse.Event{{Event: "b", Data: "x"}, {Data: "y"}}},
	"event type taken back":        {"event: a\nevent\ndata: x\n\n", []sse.Event{{Data: "x"}}},
	"event without data":           {"event: a\n\ndata: x\n\n", []sse.Event{{Data: "x"}}},
	"id stays":                     {"id: 1\ndata: a\n\ndata: b\n\nid:\ndata: c\n\n", []sse.Event{{ID: "1", Data: "a"}, {ID: "1", Data: "b"}, {Data: "c"}}},
	"id alone":                     {"id: 1\n\ndata: a\n\n", []sse.Event{{ID: "1", Data: "a"}}},
	"id with NUL":                  {"id: 1\nid: 2\x00\ndata: a\n\n", []sse.Event{{ID: "1", Data: "a"}}},
	"NUL elsewhere":                {"event: \x00\ndata: \x00\n\n", []sse.Event{{Event: "\x00", Data: "\x00"}}},
	"retry":                        {"retry: 1500\ndata: a\n\ndata: b\n\n", []sse.Event{{Data: "a", Retry: 1500 * time.Millisecond}, {Data: "b"}}},
	"retry alone":                  {"retry: 1\nretry: 2\n\ndata: a\n\n", []sse.Event{{Data: "a", Retry: 2 * time.Millisecond}}},
	"retry that is none":           {"retry: 1s\nretry:  1\nretry: -1\nretry: +1\nretry:\nretry\nretry: 1.5\nretry: 1_0\nretry: ١\ndata: a\n\n", []sse.Event{{Data: "a"}}},
	"retry beyond Duration":        {"retry: 99999999999999999999999999\ndata: a\n\n", []sse.Event{{Data: "a", Retry: 9223372036854 * time.Millisecond}}},
	"incomplete event":             {"data: a\n\ndata: b\n", []sse.Event{{Data: "a"}}},
	"incomplete line":              {"data: a\n\ndata: b\n\ndata: c", []sse.Event{{Data: "a"}, {Data: "b"}}},
	"bad UTF-8, lone bytes":        {"data: \x80\xff\xc0\xaf\n\n", []sse.Event{{Data: "\uFFFD\uFFFD\uFFFD\uFFFD"}}},
	"bad UTF-8, cut characters":    {"data: \xe2\x82a\xf0\x9f\x98\xc3\n\n", []sse.Event{{Data: "\uFFFDa\uFFFD\uFFFD"}}},
	"bad UTF-8, surrogate":         {"data: \xed\xa0\x80\n\n", []sse.Event{{Data: "\uFFFD\uFFFD\uFFFD"}}},
	"bad UTF-8, out of range":      {"data: \xf4\x90\x80\x80\xe0\x80\n\n", []sse.Event{{Data: "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"}}},
	"bad UTF-8, id and event":      {"id: \xff\nevent: \xe2\x82\ndata\n\n", []sse.Event{{ID: "\uFFFD", Event: "\uFFFD"}}},
	"a real replacement character": {"data: \uFFFD\xff\n\n", []sse.Event{{Data: "\uFFFD\uFFFD"}}},
}

func TestRead(t *testing.T) {
	for name, tt := range readTests {
		t.Run(name, func(t *testing.T) {
			for way, r := range map[string]io.Reader{
				"whole":         strings.NewReader(tt.stream),
				"bytes":         iotest.OneByteReader(strings.NewReader(tt.stream)),
				"error at once": iotest.DataErrReader(strings.NewReader(tt.stream)),
			} {
				got, err := readAll(sse.Read(r))
				if err != nil || !slices.Equal(got, tt.want) {
					t.Errorf("%s: Read(%q) = %+v, %v, want %+v", way, tt.stream, got, err, tt.want)
				}
			}
		})
	}
}

func TestRead_LongLinesAcrossReads(t *testing.T) {
	long := strings.Repeat("0123456789", 1000)
	stream := "data: " + long + "\r\ndata: " + long + "\n\n:" + long + "\ndata: x\n\n"
	got, err := readAll(sse.Read(strings.NewReader(stream)))
	want := []sse.Event{{Data: long + "\n" + long}, {Data: "x"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Read = %d events, %v, want %d", len(got), err, len(want))
	}
}

func TestRead_LeavesTheLoop(t *testing.T) {
	n := 0
	for range sse.Read(strings.NewReader("data: a\n\ndata: b\n\n")) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("loop ran %d times, want 1", n)
	}
}

// TestReader_DoesNotWaitForMore reads from a pipe whose writer stops right
// behind the byte that completes the event.
func TestReader_DoesNotWaitForMore(t *testing.T) {
	for _, stream := range []string{"data: a\n\n", "data: a\r\r", "data: a\r\n\r", "data: a\n\r"} {
		r, w := io.Pipe()
		reader := sse.NewReader(r, nil)
		for range 3 {
			go w.Write([]byte(stream))
			event, err := reader.Next()
			if err != nil || event.Data != "a" {
				t.Errorf("Next = %+v, %v, want the event of %q", event, err, stream)
			}
		}
		// The LF that belongs to the CR before is not a blank line.
		go func() {
			w.Write([]byte("\n"))
			w.Close()
		}()
		if event, err := reader.Next(); err != io.EOF {
			t.Errorf("Next after %q = %+v, %v, want io.EOF", stream, event, err)
		}
	}
}

func TestReader_StateForReconnecting(t *testing.T) {
	r, w := io.Pipe()
	reader := sse.NewReader(r, &sse.ReaderOptions{LastEventID: "before"})
	next := func(stream string) sse.Event {
		t.Helper()
		go w.Write([]byte(stream))
		event, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		return event
	}
	if reader.LastEventID() != "before" || reader.Retry() != 0 {
		t.Errorf("new reader: LastEventID = %q, Retry = %v, want those it was given", reader.LastEventID(), reader.Retry())
	}
	if got, want := next("data: a\n\n"), (sse.Event{ID: "before", Data: "a"}); got != want {
		t.Errorf("first event = %+v, want %+v", got, want)
	}
	if got, want := next("id: 1\nretry: 5\n\ndata: b\n\n"), (sse.Event{ID: "1", Data: "b", Retry: 5 * time.Millisecond}); got != want {
		t.Errorf("second event = %+v, want %+v", got, want)
	}

	// An id takes effect at its blank line, retry on its own line; both without
	// any event.
	go func() {
		w.Write([]byte("id: 2\n\nid: 3\nretry: 7\nretry: 8"))
		w.Close()
	}()
	if event, err := reader.Next(); err != io.EOF {
		t.Fatalf("Next = %+v, %v, want io.EOF", event, err)
	}
	if reader.LastEventID() != "2" || reader.Retry() != 7*time.Millisecond {
		t.Errorf("at the end: LastEventID = %q, Retry = %v, want 2 and 7ms", reader.LastEventID(), reader.Retry())
	}
}

func TestReader_MaxEventBytes(t *testing.T) {
	tests := map[string]struct {
		stream string
		events int
		want   error
	}{
		"at the limit":             {"data:45678\n\ndata:45678\n\n", 2, nil},
		"one above":                {"data:45678\n\ndata:456789\n\n", 1, sse.ErrEventTooLarge},
		"over two lines":           {"data:\ndata:\n\ndata:\ndata:x\n\n", 1, sse.ErrEventTooLarge},
		"line ends don't count":    {"data:\r\ndata:\r\n\r\n\n\n\n\r\n", 1, nil},
		"comments don't count":     {":" + strings.Repeat("x", 10_000) + "\ndata:45678\n:x\n\n", 1, nil},
		"unknown fields count":     {"0123456789\nx\n\n", 0, sse.ErrEventTooLarge},
		"blocks without data":      {"id: 4567\n\nid: 4567\n\nid: 4567\n\n", 0, nil},
		"a line that never ends":   {"data: " + strings.Repeat("x", 100), 0, sse.ErrEventTooLarge},
		"behind a byte order mark": {"\uFEFFdata:45678\n\n", 1, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.stream), iotest.OneByteReader(strings.NewReader(tt.stream))} {
				reader := sse.NewReader(r, &sse.ReaderOptions{MaxEventBytes: 10})
				n := 0
				var err error
				for ; err == nil; n++ {
					_, err = reader.Next()
				}
				n--
				if want := tt.want; n != tt.events || want == nil && err != io.EOF || want != nil && err != want {
					t.Errorf("%d events, then %v, want %d, then %v", n, err, tt.events, want)
				}
				if _, again := reader.Next(); again != err {
					t.Errorf("Next after %v = %v, want the same", err, again)
				}
			}
		})
	}
	t.Run("default is 1 MiB", func(t *testing.T) {
		fits := "data:" + strings.Repeat("x", 1<<20-5)
		if got, err := readAll(sse.Read(strings.NewReader(fits + "\n\n"))); len(got) != 1 || err != nil {
			t.Errorf("1 MiB: %d events, %v, want 1", len(got), err)
		}
		if got, err := readAll(sse.Read(strings.NewReader(fits + "x\n\n"))); len(got) != 0 || err != sse.ErrEventTooLarge {
			t.Errorf("one byte more: %d events, %v, want ErrEventTooLarge", len(got), err)
		}
	})
}

func TestNewReader_RefusesNegativeLimits(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("NewReader did not panic")
		}
	}()
	sse.NewReader(strings.NewReader(""), &sse.ReaderOptions{MaxEventBytes: -1})
}

func TestRead_ErrorComesLast(t *testing.T) {
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader("data: a\n\ndata: b\n"), iotest.ErrReader(broken))
	got, err := readAll(sse.Read(r))
	if len(got) != 1 || !errors.Is(err, broken) {
		t.Errorf("Read = %+v, %v, want one event and the reader's error", got, err)
	}
	if _, err := readAll(sse.Read(iotest.ErrReader(io.ErrUnexpectedEOF))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Read = %v, want io.ErrUnexpectedEOF: only a clean end is silent", err)
	}
	if _, err := readAll(sse.Read(lazyReader{})); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("Read from a reader without progress = %v, want io.ErrNoProgress", err)
	}
}

// lazyReader never has anything, nor an error.
type lazyReader struct{}

func (lazyReader) Read([]byte) (int, error) { return 0, nil }

func BenchmarkReader_Next(b *testing.B) {
	stream := bytes.Repeat([]byte("id: abcdefgh-123456\nevent: tick\ndata: "+strings.Repeat("x", 64)+"\n\n"), 1000)
	src := bytes.NewReader(stream)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(stream)
		reader := sse.NewReader(src, nil)
		for {
			if _, err := reader.Next(); err != nil {
				break
			}
		}
	}
}
