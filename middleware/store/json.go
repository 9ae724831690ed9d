package store

import (
	"context"
	"fmt"
	"time"

	"github.com/goccy/go-json"
)

// GetJSON returns the value of key, decoded from JSON. Its errors are those of [KV.Get] and of the decoding.
func GetJSON[T any](ctx context.Context, kv KV, key string) (T, error) {
	var v T
	value, err := kv.Get(ctx, key)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(value, &v); err != nil {
		var zero T
		return zero, fmt.Errorf("store: decode the value of %q: %w", key, err)
	}
	return v, nil
}

// SetJSON is [KV.Set] of v, encoded in JSON.
func SetJSON(ctx context.Context, kv KV, key string, v any, ttl time.Duration) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("store: encode the value of %q: %w", key, err)
	}
	return kv.Set(ctx, key, value, ttl)
}
