package wsproto_test

import (
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/goceleris/celeris/internal/wsproto"
)

// viable reports whether some continuation makes p valid.
func viable(p []byte) bool {
	for n := range min(4, len(p)+1) { // that many bytes at the end may be the start of a character
		if !utf8.Valid(p[:len(p)-n]) {
			continue
		}
		rest := p[len(p)-n:]
		if n == 0 {
			return true
		}
		for _, first := range []byte{0x80, 0x90, 0xA0, 0xBF} {
			for _, more := range []int{1, 2, 3} {
				q := append([]byte{}, rest...)
				q = append(q, first)
				for range more - 1 {
					q = append(q, 0x80)
				}
				if r, size := utf8.DecodeRune(q); size == len(q) && r != utf8.RuneError {
					return true
				}
				if string(q) == "\uFFFD" {
					return true
				}
			}
		}
	}
	return false
}

func TestUTF8_FailsAsEarlyAsTheBytesAllow(t *testing.T) {
	interesting := []byte{0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF}
	var try func(p []byte)
	try = func(p []byte) {
		var u wsproto.UTF8
		ok := true
		for _, c := range p {
			ok = ok && u.Valid([]byte{c})
		}
		if want := viable(p); ok != want {
			t.Fatalf("% x: %v, want %v", p, ok, want)
		}
		if ok && u.Complete() != utf8.Valid(p) {
			t.Fatalf("% x: Complete() = %v", p, u.Complete())
		}
		if len(p) < 4 && ok {
			for _, c := range interesting {
				try(append(slices.Clip(p), c))
			}
		}
	}
	try(nil)
}

func FuzzUTF8(f *testing.F) {
	f.Add([]byte("aé漢🎉"), uint8(1), uint8(5))
	f.Add([]byte{0xf4, 0x90, 0x80, 0x80}, uint8(1), uint8(2))
	f.Fuzz(func(t *testing.T, p []byte, a, b uint8) {
		i := min(int(a), len(p))
		j := min(i+int(b), len(p))
		var u wsproto.UTF8
		got := u.Valid(p[:i]) && u.Valid(p[i:j]) && u.Valid(p[j:]) && u.Complete()
		if want := utf8.Valid(p); got != want {
			t.Errorf("%x cut at %d and %d: %v, want %v", p, i, j, got, want)
		}
	})
}
