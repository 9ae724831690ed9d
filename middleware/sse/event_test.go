package sse_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

func TestEvent_AppendTo(t *testing.T) {
	tests := map[string]struct {
		event sse.Event
		want  string
	}{
		"zero event":              {sse.Event{}, "data: \n\n"},
		"data":                    {sse.Event{Data: "hello"}, "data: hello\n\n"},
		"all fields, in order":    {sse.Event{ID: "7", Event: "tick", Data: "x", Key: "k", Retry: 3 * time.Second}, "id: 7\nevent: tick\nretry: 3000\ndata: x\n\n"},
		"LF":                      {sse.Event{Data: "a\nb"}, "data: a\ndata: b\n\n"},
		"CR":                      {sse.Event{Data: "a\rb"}, "data: a\ndata: b\n\n"},
		"CRLF":                    {sse.Event{Data: "a\r\nb"}, "data: a\ndata: b\n\n"},
		"LFCR is two line ends":   {sse.Event{Data: "a\n\rb"}, "data: a\ndata: \ndata: b\n\n"},
		"CRCRLF":                  {sse.Event{Data: "a\r\r\nb"}, "data: a\ndata: \ndata: b\n\n"},
		"line ends at both ends":  {sse.Event{Data: "\na\r\n"}, "data: \ndata: a\ndata: \n\n"},
		"only a line end":         {sse.Event{Data: "\n"}, "data: \ndata: \n\n"},
		"leading spaces":          {sse.Event{Data: "  a\n b"}, "data:   a\ndata:  b\n\n"},
		"spaces and colons names": {sse.Event{ID: " 1:2 ", Event: " : "}, "id:  1:2 \nevent:  : \ndata: \n\n"},
		"NUL in data":             {sse.Event{Data: "a\x00b"}, "data: a\x00b\n\n"},
		"byte order mark":         {sse.Event{Data: "\uFEFFa"}, "data: \uFEFFa\n\n"},
		"other line separators":   {sse.Event{Event: "a\u2028\u0085\v\fb"}, "event: a\u2028\u0085\v\fb\ndata: \n\n"},
		"shortest retry":          {sse.Event{Retry: time.Millisecond}, "retry: 1\ndata: \n\n"},
		"longest retry":           {sse.Event{Retry: math.MaxInt64 / time.Millisecond * time.Millisecond}, "retry: 9223372036854\ndata: \n\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.event.AppendTo([]byte("before|"))
			if err != nil || string(got) != "before|"+tt.want {
				t.Errorf("AppendTo = %q, %v, want %q", got, err, "before|"+tt.want)
			}
		})
	}
}

func TestEvent_AppendToRefusesWhatCannotBeCarried(t *testing.T) {
	tests := map[string]struct {
		event sse.Event
		field string
	}{
		"LF in id":                 {sse.Event{ID: "1\ndata: x"}, "id"},
		"CR in id":                 {sse.Event{ID: "1\r"}, "id"},
		"NUL in id":                {sse.Event{ID: "1\x00"}, "id"},
		"bad UTF-8 in id":          {sse.Event{ID: "\xff"}, "id"},
		"LF in event":              {sse.Event{Event: "\n"}, "event"},
		"CR in event":              {sse.Event{Event: "a\rb"}, "event"},
		"NUL in event":             {sse.Event{Event: "\x00"}, "event"},
		"bad UTF-8 in event":       {sse.Event{Event: "a\xc3"}, "event"},
		"bad UTF-8 in data":        {sse.Event{Data: "a\xed\xa0\x80b"}, "data"},
		"UTF-8 cut by a line end":  {sse.Event{Data: "\xe2\x82\n\xac"}, "data"},
		"bad UTF-8 in key":         {sse.Event{Key: "\x80"}, "key"},
		"negative retry":           {sse.Event{Retry: -time.Second}, "retry"},
		"sub-millisecond retry":    {sse.Event{Retry: time.Microsecond}, "retry"},
		"broken millisecond retry": {sse.Event{Retry: 1500 * time.Microsecond}, "retry"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := append(make([]byte, 0, 64), "before"...)
			got, err := tt.event.AppendTo(b)
			encodeError, ok := errors.AsType[*sse.EncodeError](err)
			if !ok || encodeError.Field != tt.field || encodeError.Reason == "" {
				t.Fatalf("AppendTo: error = %v, want an *EncodeError about %s", err, tt.field)
			}
			if !strings.Contains(err.Error(), tt.field+" "+encodeError.Reason) {
				t.Errorf("error %q doesn't say what is wrong", err)
			}
			if string(got) != "before" || string(got[:cap(got)][6:9]) != "\x00\x00\x00" {
				t.Errorf("AppendTo wrote %q behind an error", got[:cap(got)])
			}
		})
	}
}

func TestEvent_AppendToDoesNotAllocate(t *testing.T) {
	b := make([]byte, 0, 1<<10)
	event := sse.Event{ID: "a-1", Event: "tick", Data: "one\ntwo\r\nthree\rü", Retry: time.Second}
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := event.AppendTo(b); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("AppendTo allocates %v times, want 0", allocs)
	}
}

func TestEvent_AppendToIsLinear(t *testing.T) {
	// Quadratic searching for line ends would take far too long here.
	const n = 1 << 18
	for _, end := range []string{"\r", "\n", "\r\n"} {
		got, err := sse.Event{Data: strings.Repeat(end, n)}.AppendTo(nil)
		if want := (n+1)*len("data: \n") + 1; err != nil || len(got) != want {
			t.Errorf("%q: AppendTo = %d bytes, %v, want %d", end, len(got), err, want)
		}
	}
}

func TestJSON(t *testing.T) {
	event, err := sse.JSON("price", map[string]any{"symbol": "ACME", "text": "a\nb\r"})
	want := sse.Event{Event: "price", Data: `{"symbol":"ACME","text":"a\nb\r"}`}
	if err != nil || event != want {
		t.Errorf("JSON = %+v, %v, want %+v", event, err, want)
	}
	event, err = sse.JSON("bad", func() {})
	if err == nil || event != (sse.Event{}) || !strings.Contains(err.Error(), `"bad"`) {
		t.Errorf("JSON(func) = %+v, %v, want an error that names the event", event, err)
	}
}

func BenchmarkEvent_AppendTo(b *testing.B) {
	buf := make([]byte, 0, 1<<10)
	event := sse.Event{Event: "tick", Data: strings.Repeat("x", 64)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.AppendTo(buf); err != nil {
			b.Fatal(err)
		}
	}
}
