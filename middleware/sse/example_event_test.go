package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

func ExampleEvent_AppendTo() {
	event := sse.Event{
		Event: "note",
		Data:  "first line\nsecond line",
		Retry: 3 * time.Second,
	}
	b, err := event.AppendTo(nil)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(b)
	// Output:
	// event: note
	// retry: 3000
	// data: first line
	// data: second line
}

func ExampleEncodeError() {
	_, err := sse.Event{Event: "two\nlines"}.AppendTo(nil)
	if e, ok := errors.AsType[*sse.EncodeError](err); ok {
		fmt.Println(e.Field)
	}
	fmt.Println(err)
	// Output:
	// event
	// sse: cannot encode event: event contains a line end
}

func ExampleJSON() {
	event, err := sse.JSON("price", struct {
		Symbol string  `json:"symbol"`
		Price  float64 `json:"price"`
	}{"ACME", 12.5})
	if err != nil {
		panic(err)
	}
	fmt.Println(event.Event, event.Data)
	// Output:
	// price {"symbol":"ACME","price":12.5}
}

func ExampleRead() {
	body := strings.NewReader("data: hello\n\nevent: note\ndata: two\ndata: lines\n\n")
	for event, err := range sse.Read(body) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%q %q\n", event.Event, event.Data)
	}
	// Output:
	// "" "hello"
	// "note" "two\nlines"
}

func ExampleReader() {
	body := strings.NewReader("retry: 2000\nid: a-7\n\nid: a-8\ndata: hello\n\nid: a-9\n\n")
	reader := sse.NewReader(body, &sse.ReaderOptions{MaxEventBytes: 64 << 10})
	for {
		event, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(err)
		}
		fmt.Println(event.ID, event.Data)
	}
	fmt.Println("reconnect after", reader.Retry(), "from", reader.LastEventID())
	// Output:
	// a-8 hello
	// reconnect after 2s from a-9
}

func ExampleRingBuffer() {
	ctx := context.Background()
	ring := sse.NewRingBuffer(100)
	var ids []string
	for _, data := range []string{"one", "two", "three"} {
		_, id, err := ring.Append(ctx, "user-7", sse.Record{Event: sse.Event{Data: data}})
		if err != nil {
			panic(err)
		}
		ids = append(ids, id)
	}
	for record, err := range ring.Since(ctx, "user-7", ids[0]) {
		if err != nil {
			panic(err) // sse.ErrLastIDUnknown: start over
		}
		fmt.Println(record.Event.Data)
	}
	// Output:
	// two
	// three
}
