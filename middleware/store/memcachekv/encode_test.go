package memcachekv

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// decode undoes encode.
func decode(key string) string {
	if key[0] != marker {
		return key
	}
	var out []byte
	bits, n := uint(0), 0
	for i := 1; i < len(key); i++ {
		bits, n = bits<<7|uint(key[i]&0x7f), n+7
		if n >= 8 {
			n -= 8
			out = append(out, byte(bits>>n))
			bits &= 1<<n - 1
		}
	}
	return string(out)
}

func FuzzEncode(f *testing.F) {
	for _, seed := range []string{"a", " ", "\x80", "\x80a", "a b c d e f g h", "\xff\xff", strings.Repeat("\x00", 200), "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if key == "" {
			t.Skip()
		}
		sent := encode(key)
		for i := range len(sent) {
			if sent[i] <= ' ' || sent[i] == 0x7f {
				t.Fatalf("encode(%q) = %q, which memcached refuses", key, sent)
			}
		}
		if got := decode(sent); got != key {
			t.Errorf("encode(%q) = %q, which is also that of %q", key, sent, got)
		}
		if len(key) <= 217 && len(sent) > maxKey {
			t.Errorf("a key of %d bytes has %d", len(key), len(sent))
		}
	})
}

func TestExpiration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is the year 2000
		const unix = 946684800
		for _, tt := range []struct {
			ttl  time.Duration
			want int32
		}{
			{0, 0},
			{1, 2},
			{time.Second, 2},
			{time.Second + 1, 3},
			{30*24*time.Hour - time.Second, 30 * 24 * 3600},
			{30 * 24 * time.Hour, unix + 30*24*3600 + 1},
			{365 * 24 * time.Hour, unix + 365*24*3600 + 1},
			{50 * 365 * 24 * time.Hour, 0},
			{1<<63 - 1, 0},
		} {
			if got := expiration(tt.ttl); got != tt.want {
				t.Errorf("expiration(%v) = %d, want %d", tt.ttl, got, tt.want)
			}
		}
	})
}
