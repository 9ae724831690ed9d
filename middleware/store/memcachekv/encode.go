package memcachekv

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/goceleris/celeris/middleware/store"
)

const (
	// maxKey is what memcached takes.
	maxKey = 250
	// marker begins the keys that are not sent as they are.
	marker = 0x80
	// month is the longest ttl that memcached takes for one; beyond, it is a moment of Unix time.
	month = 30 * 24 * time.Hour
)

// check returns the key that is sent, or why a call with these arguments does nothing.
func check(ctx context.Context, key string, ttl time.Duration) (string, error) {
	if err := store.Check(ctx, key, ttl); err != nil {
		return "", err
	}
	k := encode(key)
	if len(k) > maxKey {
		return "", fmt.Errorf("memcachekv: %w: %d bytes, %d when sent, at most %d", store.ErrInvalidKey, len(key), len(k), maxKey)
	}
	return k, nil
}

// encode returns a key as memcached takes it, a different one for each. What it refuses is written with seven bits in a
// byte whose eighth is set: 200 bytes of any kind fit.
func encode(key string) string {
	plain := key[0] != marker
	for i := 0; i < len(key) && plain; i++ {
		plain = key[i] > ' ' && key[i] != 0x7f
	}
	if plain {
		return key
	}
	out := make([]byte, 1, 2+len(key)*8/7)
	out[0] = marker
	bits, n := uint(0), 0
	for i := range len(key) {
		bits, n = bits<<8|uint(key[i]), n+8
		for n >= 7 {
			n -= 7
			out = append(out, 0x80|byte(bits>>n&0x7f))
		}
		bits &= 1<<n - 1
	}
	if n > 0 {
		out = append(out, 0x80|byte(bits<<(7-n)&0x7f))
	}
	return string(out)
}

// expiration returns a ttl as memcached takes it. Its seconds are ticks of its clock, the first of which may come at
// once: only with one more does a value stay for the whole time.
func expiration(ttl time.Duration) int32 {
	if ttl == 0 {
		return 0
	}
	ticks := int64(ttl/time.Second) + 1
	if ttl%time.Second > 0 {
		ticks++
	}
	if ticks <= int64(month/time.Second) {
		return int32(ticks)
	}
	moment := time.Now().Unix() + ticks
	if moment > math.MaxInt32 {
		return 0
	}
	return int32(moment)
}
