package sse_test

import (
	"context"
	"fmt"

	"github.com/goceleris/celeris/middleware/sse"
	"github.com/goceleris/celeris/middleware/store"
)

func ExampleNewKVReplayStore() {
	kv := store.NewMemoryKV(store.MemoryConfig{}) // or that of a package such as rediskv or pgkv
	defer kv.Close()
	replay, err := sse.NewKVReplayStore(sse.KVReplayStoreConfig{KV: kv, Prefix: "app:"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer replay.Close(ctx)

	var seen string
	for _, word := range []string{"one", "two", "three"} {
		_, id, err := replay.Append(ctx, "answer", sse.Record{Event: sse.Event{Data: word}})
		if err != nil {
			fmt.Println(err)
			return
		}
		if word == "one" {
			seen = id
		}
	}
	for record, err := range replay.Since(ctx, "answer", seen) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(record.Event.Data)
	}
	// Output:
	// two
	// three
}
