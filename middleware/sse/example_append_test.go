package sse_test

import (
	"context"
	"fmt"

	"github.com/goceleris/celeris/middleware/sse"
)

// A producer goes on while its reader is away; the reader comes back with the id of what it saw last.
func ExampleAppend() {
	ctx, store := context.Background(), sse.NewRingBuffer(0) // or one that processes share
	seen, _ := sse.Append(ctx, store, "conversation-7", sse.Event{Data: "The answer"})
	for _, token := range []string{" is", " 42."} {
		if _, err := sse.Append(ctx, store, "conversation-7", sse.Event{Data: token}); err != nil {
			fmt.Println(err)
		}
	}
	for r, err := range store.Since(ctx, "conversation-7", seen.ID()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%q\n", r.Event.Data)
	}
	// Output:
	// " is"
	// " 42."
}
