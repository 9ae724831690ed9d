package wsspec

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"sync"
)

// pressed sends a message compressed as agreed.
func pressed(op byte, data []byte) step {
	return func(c *conn) error { return c.write(whole(op|rsv1Bit, c.out.message(data))) }
}

// deflated are RFC 7692 sections 6 and 7.2: what compressed messages are made of.
func deflated(deflate bool, limit int64) []Case {
	if !deflate {
		return nil
	}
	var cases []Case
	add := func(name string, steps ...step) {
		cases = append(cases, Case{Name: "7692.7.2/" + name, offer: "permessage-deflate; client_max_window_bits; server_no_context_takeover", steps: steps})
	}
	raw := func(b string) []byte { return whole(opText|rsv1Bit, []byte(b)) }
	hello := echo(opText, []byte("Hello"))
	const sample = "\xF2\x48\xCD\xC9\xC9\x07\x00"
	add("the sample message", say(raw(sample)), hello)
	add("the sample message in fragments", say(part(opText|rsv1Bit, []byte(sample[:3])), whole(opContinuation, []byte(sample[3:]))), hello)
	add("the sample message in fragments of a byte, some empty", say(part(opText|rsv1Bit, nil), pieces(opContinuation, []byte(sample), 1)), hello)
	add("the sample message byte by byte", chop(1, raw(sample)), hello)
	add("a stored block", say(raw("\x00\x05\x00\xFA\xFFHello\x00")), hello)
	add("a block with BFINAL", say(raw("\xF3\x48\xCD\xC9\xC9\x07\x00\x00")), hello)
	add("a block with BFINAL, then another", say(raw("\xF3\x48\xCD\xC9\xC9\x07\x00"+sample)), echo(opText, []byte("HelloHello")))
	add("two blocks", say(raw("\xF2\x48\x05\x00\x00\x00\xFF\xFF\xCA\xC9\xC9\x07\x00")), hello)
	add("nothing, compressed to a byte", say(raw("\x00")), echo(opText, nil))
	add("nothing, compressed to a fixed block", say(raw("\x02\x00")), echo(opText, nil))
	add("a message that isn't compressed", say(whole(opText, []byte("Hello"))), hello)
	add("compressed and not, in turn", say(raw(sample), whole(opText, []byte("Hello")), raw(sample), whole(opBinary, nil)), repeated(3, hello), echo(opBinary, nil))
	add("a ping between compressed fragments", say(part(opText|rsv1Bit, []byte(sample[:3])), whole(opPing, []byte("p"))), pong([]byte("p")), say(whole(opContinuation, []byte(sample[3:]))), hello)
	data := filler(100_000)
	for level := range 10 {
		add(fmt.Sprintf("a large message of level %d", level), aside(whole(opBinary|rsv1Bit, library(data, level)), echo(opBinary, data)))
	}
	six := library(data, 6)
	add("a large message in fragments", aside(pieces(opBinary|rsv1Bit, six, 777), echo(opBinary, data)))
	add("a large message in portions", aside(nil, chop(997, whole(opBinary|rsv1Bit, six)), echo(opBinary, data)))
	add("a large message that doesn't get smaller", aside(whole(opBinary|rsv1Bit, library(noise(100_000), 1)), echo(opBinary, noise(100_000))))

	corrupt := refuse(1002, 1003, 1007)
	add("RSV1 in a continuation is refused", say(part(opText|rsv1Bit, []byte(sample[:3])), whole(opContinuation|rsv1Bit, []byte(sample[3:]))), refuse(1002))
	add("RSV1 in a continuation of a message that isn't compressed is refused", say(part(opText, []byte("a")), whole(opContinuation|rsv1Bit, []byte("b"))), refuse(1002))
	for _, op := range []byte{opClose, opPing, opPong} {
		add(fmt.Sprintf("RSV1 in a control frame of opcode %d is refused", op), say(whole(op|rsv1Bit, nil)), refuse(1002))
	}
	for _, rsv := range []byte{0x10, 0x20, 0x30, 0x50, 0x60, 0x70} {
		add(fmt.Sprintf("reserved bits %03b are refused", rsv>>4), say(whole(opText|rsv, []byte(sample))), refuse(1002))
	}
	add("a block of type 3 is refused", say(raw("\x06\x00")), corrupt)
	add("a stored block with a wrong length is refused", say(raw("\x00\x05\x00\xFA\xFEHello\x00")), corrupt)
	add("a reference to before the first byte is refused", say(raw("\x02\x02\x00\x00")), corrupt)
	add("data that ends within a block is refused", say(raw("\xF2\x48\xCD")), corrupt)
	add("rubbish is refused", say(raw("\xFF\xFF\xFF\xFF\xFF\xFF")), corrupt)
	add("what isn't UTF-8 is refused", say(whole(opText|rsv1Bit, library([]byte("a\xED\xA0\x80b"), 1))), refuse(1007))
	add("what ends within a character is refused", say(whole(opText|rsv1Bit, library([]byte("a\xE2\x82"), 1))), refuse(1007))
	add("what isn't UTF-8 is no matter in binary", say(whole(opBinary|rsv1Bit, library([]byte("\xED\xA0"), 1))), echo(opBinary, []byte("\xED\xA0")))
	add("a message of the limit when inflated", func(c *conn) error {
		return aside(whole(opBinary|rsv1Bit, zeros(limit)), echo(opBinary, make([]byte, limit)))(c)
	})
	add("a byte more than the limit when inflated is refused", func(c *conn) error {
		return then(say(whole(opBinary|rsv1Bit, zeros(limit+1))), refuse(1009))(c)
	})
	bomb := sync.OnceValue(func() []byte { return zeros(64 * limit) })
	add("a bomb is refused", func(c *conn) error {
		return then(say(whole(opBinary|rsv1Bit, bomb())), refuse(1009))(c)
	})
	add("a bomb in fragments is refused", func(c *conn) error {
		return then(say(pieces(opBinary|rsv1Bit, bomb(), 1000)), refuse(1009))(c)
	})
	return cases
}

// library compresses with the standard library: all types of blocks, a window of 32 KiB.
func library(data []byte, level int) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err == nil {
		_, err = w.Write(data)
	}
	if err = errors.Join(err, w.Flush()); err != nil {
		panic(err) // a level that isn't one
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xFF\xFF"))
}

func zeros(n int64) []byte { return library(make([]byte, n), flate.BestSpeed) }

// takeovers try every combination of parameters with messages of many sizes: RFC 7692 sections 7.1.1, 7.1.2 and 7.2.3.
func takeovers(deflate bool) []Case {
	if !deflate {
		return nil
	}
	var offers []string
	for _, server := range []string{"", "; server_no_context_takeover"} {
		for _, client := range []string{"", "; client_no_context_takeover"} {
			for _, windows := range []string{"", "; client_max_window_bits", "; server_max_window_bits=9; client_max_window_bits=9",
				"; server_max_window_bits=15; client_max_window_bits=15"} {
				offers = append(offers, "permessage-deflate"+server+client+windows)
			}
		}
	}
	for bits := 8; bits <= 15; bits++ {
		offers = append(offers, fmt.Sprintf("permessage-deflate; client_max_window_bits=%d", bits))
		if bits > 8 {
			offers = append(offers, fmt.Sprintf("permessage-deflate; server_max_window_bits=%d", bits),
				fmt.Sprintf("permessage-deflate; server_max_window_bits=%d; client_max_window_bits=%d", bits, bits))
		}
	}
	sizes := []struct{ size, times int }{{0, 2}, {1, 4}, {16, 8}, {64, 8}, {256, 6}, {1024, 4}, {4096, 2}, {40_000, 1}, {16, 4}}
	var cases []Case
	for _, o := range offers {
		var alike, apart []step
		for i, s := range sizes {
			data := filler(s.size)
			for k := range s.times {
				alike = append(alike, pressed(opText, data), echo(opText, data))
				other := append(noise(s.size/2+i), filler(s.size/2+k)...)
				apart = append(apart, aside(nil, pressed(opBinary, other), echo(opBinary, other)))
			}
		}
		cases = append(cases,
			Case{Name: "7692.7.1/" + o + ", the same text again and again", offer: o, steps: append([]step{agreed}, alike...)},
			Case{Name: "7692.7.1/" + o + ", bytes of which half don't compress", offer: o, steps: append([]step{agreed}, apart...)})
	}
	return cases
}

func agreed(c *conn) error { return accepted7692(c.deflate) }
