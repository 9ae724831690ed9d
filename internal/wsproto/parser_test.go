package wsproto_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/goceleris/celeris/internal/wsproto"
)

// feed gives a copy of in to a parser, n bytes at a time, and returns what came out in words; pieces of one message are put
// together.
func feed(p *wsproto.Parser, in []byte, n int) (events []string, err error) {
	in = bytes.Clone(in)
	var msg []byte
	for len(in) > 0 {
		part := in[:min(n, len(in))]
		in = in[len(part):]
		for {
			ev, k, err := p.Next(part)
			if err != nil {
				return events, err
			}
			part = part[k:]
			if ev.Kind == wsproto.More {
				break
			}
			if ev.Kind == wsproto.Control {
				events = append(events, fmt.Sprintf("%x %q", ev.Opcode, ev.Payload))
				continue
			}
			if ev.First {
				msg = msg[:0]
			}
			if msg = append(msg, ev.Payload...); ev.Last {
				events = append(events, fmt.Sprintf("%x %q %v", ev.Opcode, msg, ev.Compressed))
			}
		}
		if len(part) > 0 {
			return events, errors.New("the parser wants more and leaves something")
		}
	}
	return events, nil
}

const key = 0x9f3a07c5

func frame(op wsproto.Opcode, fin, compressed bool, payload string) []byte {
	return wsproto.AppendFrame(nil, wsproto.Frame{Opcode: op, Fin: fin, Compressed: compressed, Masked: true, Key: key}, []byte(payload))
}

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

func TestParser_TakesFramesCutAnywhere(t *testing.T) {
	long := string(bytes.Repeat([]byte("0123456789"), 7000))
	in := join(
		frame(wsproto.Text, true, false, "hello"),
		frame(wsproto.Binary, false, true, ""), frame(wsproto.Ping, true, false, "1"), frame(wsproto.Continuation, false, false, "ab"),
		frame(wsproto.Close, true, false, "\x03\xe8bye"), frame(wsproto.Continuation, true, false, "c"),
		frame(wsproto.Text, true, false, ""), frame(wsproto.Pong, true, false, ""),
		frame(wsproto.Binary, true, false, long[:126]), frame(wsproto.Binary, true, false, long),
		frame(wsproto.Ping, true, false, long[:125]),
	)
	want := []string{
		`1 "hello" false`, `9 "1"`, `8 "\x03\xe8bye"`, `2 "abc" true`, `1 "" false`, `a ""`,
		fmt.Sprintf("2 %q false", long[:126]), fmt.Sprintf("2 %q false", long), fmt.Sprintf("9 %q", long[:125]),
	}
	for _, n := range []int{1, 2, 3, 5, 7, 11, 64, 127, 4096, len(in)} {
		p := wsproto.Parser{Deflate: true}
		got, err := feed(&p, in, n)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d bytes at a time: %.200q, %v", n, got, err)
		}
		if !p.Between() {
			t.Errorf("%d bytes at a time: within a message at the end", n)
		}
	}
}

func TestParser_TakesFramesOfAServer(t *testing.T) {
	p := wsproto.Parser{FromServer: true}
	in := wsproto.AppendFrame(nil, wsproto.Frame{Opcode: wsproto.Text, Fin: true}, []byte("hello"))
	if got, err := feed(&p, in, 1); err != nil || !slices.Equal(got, []string{`1 "hello" false`}) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := feed(&p, frame(wsproto.Text, true, false, ""), 1); code(err) != 1002 {
		t.Errorf("a masked frame: %v", err)
	}
}

func code(err error) int {
	if e, ok := errors.AsType[*wsproto.Error](err); ok {
		return e.Code
	}
	return 0
}

// long is a header up to its masking key, with the length in so many bits: 126 for 16, 127 for 64.
func long(first byte, n uint64, bytes int) []byte {
	b := []byte{first, 0x80 | byte(bytes)}
	if bytes == 126 {
		return binary.BigEndian.AppendUint16(b, uint16(n))
	}
	return binary.BigEndian.AppendUint64(b, n)
}

func TestParser_Refuses(t *testing.T) {
	for name, row := range map[string]struct {
		in   []byte
		code int
	}{
		"unmasked frame":                     {[]byte{0x81, 0x00}, 1002},
		"RSV1 without the extension":         {[]byte{0xc1}, 1002},
		"RSV2":                               {[]byte{0xa1}, 1002},
		"RSV3":                               {[]byte{0x91}, 1002},
		"opcode 3":                           {[]byte{0x83}, 1002},
		"opcode 7":                           {[]byte{0x87}, 1002},
		"opcode B":                           {[]byte{0x8b}, 1002},
		"opcode F":                           {[]byte{0x8f}, 1002},
		"fragmented ping":                    {[]byte{0x09}, 1002},
		"fragmented close":                   {[]byte{0x08}, 1002},
		"ping of 126 bytes":                  {[]byte{0x89, 0xfe}, 1002},
		"close with a length of 64 bits":     {[]byte{0x88, 0xff}, 1002},
		"continuation of nothing":            {[]byte{0x80}, 1002},
		"continuation after a message":       {join(frame(wsproto.Text, true, false, "a"), []byte{0x00}), 1002},
		"text within a message":              {join(frame(wsproto.Text, false, false, "a"), []byte{0x01}), 1002},
		"binary within a message":            {join(frame(wsproto.Text, false, false, "a"), []byte{0x82}), 1002},
		"125 in 16 bits":                     {long(0x82, 125, 126), 1002},
		"0 in 64 bits":                       {long(0x82, 0, 127), 1002},
		"65535 in 64 bits":                   {long(0x82, 65535, 127), 1002},
		"most significant bit of a length":   {[]byte{0x82, 0xff, 0x80}, 1002},
		"above the limit":                    {long(0x82, 1001, 126), 1009},
		"far above the limit":                {long(0x82, 1<<63-1, 127), 1009},
		"above the limit, together":          {join(frame(wsproto.Text, false, false, string(make([]byte, 900))), frame(wsproto.Continuation, true, false, string(make([]byte, 101)))), 1009},
		"RSV1 on a control frame, deflate":   {[]byte{0xc9}, -1002},
		"RSV1 on a continuation, deflate":    {join(frame(wsproto.Text, false, true, "a"), []byte{0xc0}), -1002},
		"RSV2 beside RSV1, deflate":          {[]byte{0xe1}, -1002},
		"compressed and far above the limit": {join([]byte{0xc2}, long(0, 100_000, 127)[1:]), -1009},
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; n <= 3; n++ {
				p := wsproto.Parser{Limit: 1000, Deflate: row.code < 0}
				_, err := feed(&p, row.in, n)
				if want := max(row.code, -row.code); code(err) != want {
					t.Fatalf("%v, want code %d", err, want)
				}
				if _, _, again := p.Next([]byte{0x81}); again != err {
					t.Errorf("then %v, want the same error", again)
				}
				if e := err.(*wsproto.Error); len(e.Reason) > wsproto.MaxReason {
					t.Errorf("%q does not fit into a close frame", e.Reason)
				}
			}
		})
	}
}

func TestParser_AllowsTheLimit(t *testing.T) {
	p := wsproto.Parser{Limit: 1000}
	in := join(frame(wsproto.Text, false, false, string(make([]byte, 999))), frame(wsproto.Ping, true, false, "x"), frame(wsproto.Continuation, true, false, "x"))
	for range 3 { // each message anew
		if got, err := feed(&p, in, 100); err != nil || len(got) != 2 {
			t.Fatalf("%d events, %v", len(got), err)
		}
	}
}

func TestParser_SaysWhatMayBeReadPastIt(t *testing.T) {
	var p wsproto.Parser
	in := frame(wsproto.Binary, true, false, "0123456789")
	if _, _, err := p.Next(in[:8]); err != nil || p.Pending() != 8 {
		t.Fatalf("Pending() = %d, %v", p.Pending(), err)
	}
	ev, n, err := p.Next(in[8:])
	if err != nil || n != 8 || string(ev.Payload) != "23456789" || !ev.Last || ev.First || p.Pending() != 0 {
		t.Errorf("%+v, %d, %v", ev, n, err)
	}
	if _, _, err := p.Next(frame(wsproto.Ping, true, false, "abc")[:7]); err != nil || p.Pending() != 0 {
		t.Errorf("within a ping Pending() = %d, %v", p.Pending(), err)
	}
}

func TestParser_AllocatesNothing(t *testing.T) {
	in := join(frame(wsproto.Text, false, false, "hello"), frame(wsproto.Ping, true, false, "abc"), frame(wsproto.Continuation, true, false, "world"))
	var p wsproto.Parser
	if n := testing.AllocsPerRun(100, func() {
		for rest := in; len(rest) > 0; {
			_, k, err := p.Next(rest)
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[k:]
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMask_IsTheOneOfTheRFC(t *testing.T) {
	for n := range 100 {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(i * 7)
		}
		for cut := 0; cut <= n; cut++ {
			q := bytes.Clone(p)
			k := wsproto.Mask(key, q[:cut])
			wsproto.Mask(k, q[cut:])
			for i := range q {
				if want := p[i] ^ byte(uint32(key)>>(8*(i%4))); q[i] != want {
					t.Fatalf("byte %d of %d, cut at %d: %x, want %x", i, n, cut, q[i], want)
				}
			}
		}
	}
}

func FuzzParser(f *testing.F) {
	f.Add(join(frame(wsproto.Text, false, true, "hello"), frame(wsproto.Ping, true, false, "abc"), frame(wsproto.Continuation, true, false, "world")), uint8(3), true)
	f.Add(long(0x82, 1<<63, 127), uint8(1), false)
	f.Add(frame(wsproto.Close, true, false, "\x03\xe8"), uint8(2), false)
	f.Fuzz(func(t *testing.T, in []byte, n uint8, deflate bool) {
		at := func(n int) ([]string, string) {
			p := wsproto.Parser{Deflate: deflate, Limit: 1 << 16}
			events, err := feed(&p, in, n)
			if err != nil && code(err) == 0 {
				t.Fatal(err)
			}
			return events, fmt.Sprint(err)
		}
		whole, err := at(max(len(in), 1))
		parts, perr := at(max(int(n), 1))
		if !slices.Equal(whole, parts) || err != perr {
			t.Errorf("at once %q, %v; in parts %q, %v", whole, err, parts, perr)
		}
	})
}

func BenchmarkParser(b *testing.B) {
	in := frame(wsproto.Binary, true, false, string(make([]byte, 64)))
	var p wsproto.Parser
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := p.Next(in); err != nil {
			b.Fatal(err)
		}
	}
}
