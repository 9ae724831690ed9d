package wsproto_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/goceleris/celeris/internal/wsproto"
)

// words is compressible text with repetitions at all distances.
func words(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var b []byte
	for len(b) < n {
		b = fmt.Appendf(b, "%x ", r.IntN(1<<r.IntN(14)))
	}
	return b[:n]
}

func TestDeflate_RoundTrips(t *testing.T) {
	for bits := wsproto.MinWindowBits; bits <= wsproto.MaxWindowBits; bits++ {
		for _, level := range []int{wsproto.MinLevel, 1, 5, wsproto.MaxLevel} {
			if bits < wsproto.MaxWindowBits && level != wsproto.DefaultLevel {
				continue // it has a level of its own
			}
			for _, takeover := range []bool{false, true} {
				z := wsproto.Inflater{Bits: bits, Takeover: takeover}
				var w wsproto.Window
				for i, n := range []int{0, 1, 5, 40, 1000, 0, 40_000, 300, 1 << bits, 3} {
					msg := words(n, uint64(i%4)) // the next ones repeat earlier ones
					c := wsproto.AppendDeflate(nil, msg, w.Bytes(), bits, level)
					if takeover {
						w.Keep(msg, bits)
						if len(w.Bytes()) > 1<<bits {
							t.Fatalf("%d bits: the window is %d bytes", bits, len(w.Bytes()))
						}
					}
					got, err := z.Append(nil, bytes.Clone(c), 0)
					if err != nil || !bytes.Equal(got, msg) {
						t.Fatalf("%d bits, level %d, takeover %v, message %d of %d bytes: %d bytes, %v", bits, level, takeover, i, n, len(got), err)
					}
				}
			}
		}
	}
}

func TestDeflate_StaysWithinItsWindow(t *testing.T) {
	for bits := wsproto.MinWindowBits; bits <= wsproto.MaxWindowBits; bits++ {
		var w wsproto.Window
		var past []byte
		farthest := 0
		for i := range 8 {
			msg := words(min(3000+7000*(i%5), 4<<bits), uint64(i%3))
			c := wsproto.AppendDeflate(nil, msg, w.Bytes(), bits, wsproto.DefaultLevel)
			w.Keep(msg, bits)
			out, far := inflateStrictly(t, append(c, 0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff), past)
			if !bytes.Equal(out, msg) {
				t.Fatalf("%d bits: the reference inflates to something else", bits)
			}
			past = append(past, msg...)
			farthest = max(farthest, far)
		}
		if farthest > 1<<bits || farthest < 1<<bits/2 {
			t.Errorf("%d bits: refers back %d bytes, want nearly %d", bits, farthest, 1<<bits)
		}
	}
}

func TestDeflate_EmptyMessageIsOneByte(t *testing.T) {
	if got := wsproto.AppendDeflate([]byte("x"), nil, nil, 15, 1); string(got) != "x\x00" { // RFC 7692 7.2.3.6
		t.Errorf("%q", got)
	}
}

// The examples of RFC 7692 7.2.3.
func TestInflater_TakesTheExamplesOfTheRFC(t *testing.T) {
	z := wsproto.Inflater{Bits: 15, Takeover: true}
	for i, row := range []struct{ in, want string }{
		{"\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello"},
		{"\xf2\x00\x11\x00\x00", "Hello"},                                 // refers to the one before
		{"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "Hello"},         // a block without compression
		{"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"},                     // a final block
		{"\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello"},                         // one without the padding
		{"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello"}, // two blocks
		{"\x00", ""},
		{"\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00", "HelloHello"}, // blocks behind a final one, which refer to it
		{"", ""},
		{"\xf2\x00\x11\x00\x00", "Hello"},
	} {
		got, err := z.Append(nil, []byte(row.in), 0)
		if err != nil || string(got) != row.want {
			t.Errorf("%d: %q, %v, want %q", i, got, err, row.want)
		}
	}
	alone := wsproto.Inflater{}
	if _, err := alone.Append(nil, []byte("\xf2\x48\xcd\xc9\xc9\x07\x00"), 0); err != nil {
		t.Fatal(err)
	}
	if got, err := alone.Append(nil, []byte("\xf2\x00\x11\x00\x00"), 0); code(err) != 1007 {
		t.Errorf("a reference to another message without takeover: %q, %v", got, err)
	}
}

func TestInflater_RefusesWhatIsNotDeflated(t *testing.T) {
	whole := wsproto.AppendDeflate(nil, words(1000, 1), nil, 15, 5)
	for name, in := range map[string][]byte{
		"garbage":      []byte("\xff\xff\xff\xff"),
		"block type 3": {0x06},
		"cut":          whole[:len(whole)/2],
		"wrong length": {0x00, 0x05, 0x00, 0x00, 0x00, 0x48},
	} {
		z := wsproto.Inflater{}
		if got, err := z.Append(nil, bytes.Clone(in), 0); code(err) != 1007 {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestInflater_IsBounded(t *testing.T) {
	bomb := wsproto.AppendDeflate(nil, make([]byte, 1<<23), nil, 15, 1)
	if len(bomb) > 1<<16 {
		t.Fatalf("the bomb is %d bytes", len(bomb))
	}
	for _, takeover := range []bool{false, true} {
		z := wsproto.Inflater{Bits: 15, Takeover: takeover}
		got, err := z.Append(nil, bytes.Clone(bomb), 100_000)
		if !errors.Is(err, wsproto.ErrTooBig) || code(err) != 1009 || cap(got) > 1<<19 {
			t.Errorf("takeover %v: %d bytes in %d, %v", takeover, len(got), cap(got), err)
		}
	}
	for _, limit := range []int64{999, 1000, 1001} {
		z := wsproto.Inflater{}
		_, err := z.Append(nil, wsproto.AppendDeflate(nil, words(1000, 1), nil, 15, 1), limit)
		if (err == nil) != (limit >= 1000) {
			t.Errorf("1000 bytes with a limit of %d: %v", limit, err)
		}
	}
}

func TestInflater_ReadsNoFurtherThanItIsRead(t *testing.T) {
	z := wsproto.Inflater{Bits: 15, Takeover: true}
	msg := words(100_000, 3)
	z.Open(wsproto.AppendDeflate(nil, msg, nil, 15, 1))
	got, err := io.ReadAll(iotestOne{&z})
	if err != nil || !bytes.Equal(got, msg) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	z.Close()
	if n, err := z.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after Close: %d, %v", n, err)
	}
}

// iotestOne reads few bytes at a time.
type iotestOne struct{ r io.Reader }

func (o iotestOne) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 7)]) }

func TestDeflate_HoldsNothingBetweenMessages(t *testing.T) {
	msg := words(2000, 1)
	buf, out := make([]byte, 0, 8<<10), make([]byte, 0, 8<<10)
	var z wsproto.Inflater
	if raceEnabled {
		t.Skip("the race detector has pools forget")
	}
	n := testing.AllocsPerRun(200, func() {
		c := wsproto.AppendDeflate(buf, msg, nil, 15, 1)
		if _, err := z.Append(out, c, 0); err != nil {
			t.Fatal(err)
		}
	})
	if n > 2 { // pools may be emptied by a collection
		t.Errorf("%v allocations for a message", n)
	}
}

func FuzzInflate(f *testing.F) {
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"), uint8(15), true)
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00"), uint8(9), false)
	f.Add(wsproto.AppendDeflate(nil, []byte(strings.Repeat("abc", 99)), nil, 10, 1), uint8(10), true)
	f.Fuzz(func(t *testing.T, p []byte, bits uint8, takeover bool) {
		bits = 8 + bits%8
		const limit = 1 << 16
		z := wsproto.Inflater{Bits: int(bits), Takeover: takeover}
		out, err := z.Append(nil, bytes.Clone(p), limit)
		if err != nil && code(err) != 1007 && code(err) != 1009 || err == nil && len(out) > limit {
			t.Fatalf("%d bytes, %v", len(out), err)
		}
		z.Open(bytes.Clone(p))
		if !takeover {
			slow, serr := io.ReadAll(io.LimitReader(iotestOne{&z}, limit+1))
			if err == nil && (serr != nil || !bytes.Equal(slow, out)) {
				t.Fatalf("in parts %d bytes, %v; at once %d, %v", len(slow), serr, len(out), err)
			}
		}
		z.Close()
		// A single stream without a final block is what the standard library makes of it.
		std, serr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(append(bytes.Clone(p), "\x00\x00\xff\xff\x01\x00\x00\xff\xff"...))), limit+1))
		if serr == nil && err == nil && !bytes.HasPrefix(out, std) {
			t.Fatalf("%x, the standard library has %x", out, std)
		}
		// And what is compressed comes back.
		var w wsproto.Window
		back := wsproto.Inflater{Bits: int(bits), Takeover: takeover}
		for range 2 {
			got, err := back.Append(nil, wsproto.AppendDeflate(nil, p, w.Bytes(), int(bits), 1), 0)
			if err != nil || !bytes.Equal(got, p) {
				t.Fatalf("%x came back as %x, %v", p, got, err)
			}
			if takeover {
				w.Keep(p, int(bits))
			}
		}
	})
}

func BenchmarkDeflate(b *testing.B) {
	msg := words(1000, 1)
	buf := make([]byte, 0, 4096)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		buf = wsproto.AppendDeflate(buf[:0], msg, nil, 15, 1)
	}
}

func BenchmarkInflate(b *testing.B) {
	c := wsproto.AppendDeflate(nil, words(1000, 1), nil, 15, 1)
	c = append(make([]byte, 0, len(c)+16), c...)
	out := make([]byte, 0, 4096)
	var z wsproto.Inflater
	b.ReportAllocs()
	for b.Loop() {
		if _, err := z.Append(out, c, 0); err != nil {
			b.Fatal(err)
		}
	}
}
