package store_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/goceleris/celeris/middleware/store"
)

func ExampleMemoryKV() {
	kv := store.NewMemoryKV(store.MemoryConfig{MaxBytes: 16 << 20})
	defer kv.Close()
	ctx := context.Background()

	if err := kv.Set(ctx, "greeting", []byte("hello"), time.Hour); err != nil {
		fmt.Println(err)
	}
	value, err := kv.Get(ctx, "greeting")
	fmt.Printf("%s %v\n", value, err)
	_, err = kv.Get(ctx, "none")
	fmt.Println(errors.Is(err, store.ErrNotFound))
	// Output:
	// hello <nil>
	// true
}

func ExamplePrefixed() {
	kv := store.NewMemoryKV(store.MemoryConfig{})
	defer kv.Close()
	ctx := context.Background()

	sessions := store.Prefixed(kv, "session:")
	n, err := store.Increment(ctx, sessions, "count", 1, 0)
	fmt.Println(n, err)
	value, err := kv.Get(ctx, "session:count")
	fmt.Printf("%s %v\n", value, err)
	// Output:
	// 1 <nil>
	// 1 <nil>
}

func ExampleGetJSON() {
	kv := store.NewMemoryKV(store.MemoryConfig{})
	defer kv.Close()
	ctx := context.Background()

	type user struct{ Name string }
	if err := store.SetJSON(ctx, kv, "user:1", user{"Ada"}, time.Hour); err != nil {
		fmt.Println(err)
	}
	u, err := store.GetJSON[user](ctx, kv, "user:1")
	fmt.Println(u.Name, err)
	// Output: Ada <nil>
}
