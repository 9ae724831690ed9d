package sse_test

import (
	"context"
	"testing"

	"github.com/goceleris/celeris/middleware/sse"
)

func TestRingBuffer_AppendAllocatesOnce(t *testing.T) {
	ring := sse.NewRingBuffer(128)
	ctx := context.Background()
	record := sse.Record{Event: sse.Event{Data: "data"}}
	for range 128 { // the ring has grown
		if _, _, err := ring.Append(ctx, "s", record); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, func() {
		if _, _, err := ring.Append(ctx, "s", record); err != nil {
			t.Error(err)
		}
	}); n > 1 {
		t.Errorf("an append allocates %v times, want the ID only", n)
	}
}
