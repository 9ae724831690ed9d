package wsspec

import (
	"encoding/binary"
	"fmt"
)

func framing(section, name string, steps ...step) Case {
	return Case{Name: section + "/" + name, steps: steps}
}

var kinds = []struct {
	op   byte
	name string
}{{opText, "text"}, {opBinary, "binary"}}

// edges are the sizes around which the form of a length changes.
var edges = []int{0, 1, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537}

// lengths are section 5.2: the three forms of a length, and which may be used for what.
func lengths() []Case {
	var cases []Case
	for _, kind := range kinds {
		for _, n := range edges {
			data := filler(n)
			if kind.op == opBinary {
				data = noise(n)
			}
			f := whole(kind.op, data)
			name := fmt.Sprintf("%s of %d bytes", kind.name, n)
			cases = append(cases,
				framing("5.2", name, aside(f, echo(kind.op, data))),
				framing("5.2", name+", its header byte by byte", chop(1, f[:min(20, len(f))]), aside(f[min(20, len(f)):], echo(kind.op, data))),
				framing("5.2", name+", in portions of 997", aside(nil, chop(997, f), echo(kind.op, data))))
		}
	}
	data := filler(300)
	zero := append([]byte{finBit | opText, maskBit | 5, 0, 0, 0, 0}, "Hello"...)
	return append(cases,
		framing("5.2", "byte by byte", chop(1, whole(opText, data)), echo(opText, data)),
		framing("5.3", "a masking key of zeros", say(zero), echo(opText, []byte("Hello"))),
		framing("5.3", "the sample frame", say([]byte{0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58}), echo(opText, []byte("Hello"))),
		framing("5.2", "many messages in one packet", say(join(whole(opText, []byte("a")), whole(opBinary, []byte{0}), whole(opText, nil), whole(opText, data))),
			echo(opText, []byte("a")), echo(opBinary, []byte{0}), echo(opText, nil), echo(opText, data)),
		framing("5.1", "an unmasked message is refused", say([]byte{finBit | opText, 5, 'H', 'e', 'l', 'l', 'o'}), refuse(1002)),
		framing("5.1", "an unmasked ping is refused", say([]byte{finBit | opPing, 0}), refuse(1002)),
		framing("5.1", "an unmasked continuation is refused", say(part(opText, []byte("a")), []byte{finBit | opContinuation, 0}), refuse(1002)),
		framing("5.1", "unmasked is refused before its payload has come", say([]byte{finBit | opText, 100}), refuse(1002)),
		framing("5.2", "5 bytes with a length of 16 bits are refused", say([]byte{finBit | opText, maskBit | 126, 0, 5}, key[:]), refuse(1002)),
		framing("5.2", "125 bytes with a length of 16 bits are refused", say([]byte{finBit | opBinary, maskBit | 126, 0, 125}, key[:]), refuse(1002)),
		framing("5.2", "5 bytes with a length of 64 bits are refused", say(long(finBit|opText, 5)), refuse(1002)),
		framing("5.2", "65535 bytes with a length of 64 bits are refused", say(long(finBit|opBinary, 65535)), refuse(1002)),
		framing("5.2", "a length with its top bit set is refused", say(long(finBit|opBinary, 1<<63)), refuse(1002)),
		framing("5.2", "a length of all ones is refused", say(long(finBit|opBinary, 1<<64-1)), refuse(1002)),
		framing("5.2", "the largest length is refused", say(long(finBit|opBinary, 1<<63-1)), refuse(1009)),
		framing("5.2", "the largest length of a continuation is refused", say(part(opBinary, noise(10)), long(finBit|opContinuation, 1<<63-1)), refuse(1009)))
}

// long makes a header with a length of 64 bits.
func long(first byte, length uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{first, maskBit | 127}, length), key[:]...)
}

// bits are the reserved bits and opcodes of section 5.2.
func bits() []Case {
	var cases []Case
	before, echoed := whole(opText, []byte("before")), echo(opText, []byte("before"))
	for _, op := range []byte{opText, opBinary, opClose, opPing, opPong} {
		for rsv := byte(1); rsv < 8; rsv++ {
			bad := whole(op|rsv<<4, []byte("\x03\xe8!"))
			name := fmt.Sprintf("reserved bits %03b with opcode %d", rsv, op)
			cases = append(cases, framing("5.2", name, say(before, bad, before), echoed, refuse(1002)),
				framing("5.2", name+", byte by byte", say(before), echoed, chop(1, bad[:1]), say(bad[1:2]), refuse(1002)))
		}
	}
	for rsv := byte(1); rsv < 8; rsv++ {
		cases = append(cases, framing("5.2", fmt.Sprintf("reserved bits %03b in a continuation", rsv),
			say(part(opText, []byte("a")), whole(opContinuation|rsv<<4, []byte("b"))), refuse(1002)))
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		name := fmt.Sprintf("opcode %d", op)
		cases = append(cases,
			framing("5.2", name+" without payload", say(whole(op, nil)), refuse(1002)),
			framing("5.2", name+" with payload", say(whole(op, []byte("payload"))), refuse(1002)),
			framing("5.2", name+" between messages", say(before, whole(op, []byte("x")), before), echoed, refuse(1002)),
			framing("5.2", name+" between fragments", say(part(opText, []byte("a")), whole(op, nil), whole(opContinuation, []byte("b"))), refuse(1002)),
			framing("5.2", name+" without FIN", say(part(op, []byte("x"))), refuse(1002)),
			framing("5.2", name+" with a length that never comes", say(header(finBit|op, 1<<40)), refuse(1002)))
	}
	return cases
}

// pings are sections 5.5.2 and 5.5.3.
func pings() []Case {
	ping := func(data []byte) []byte { return whole(opPing, data) }
	var many []byte
	var answers []step
	var tenPings []string
	for i := range 10 {
		many = append(many, ping([]byte{byte(i)})...)
		answers = append(answers, pong([]byte{byte(i)}))
		tenPings = append(tenPings, string(byte(i)))
	}
	full := noise(125)
	hello := whole(opText, []byte("Hello"))
	return []Case{
		framing("5.5.2", "an empty ping", say(ping(nil)), pong(nil)),
		framing("5.5.2", "a ping with text", say(ping([]byte("Hello, world!"))), pong([]byte("Hello, world!"))),
		framing("5.5.2", "a ping with bytes that are no text", say(ping([]byte("\x00\xFF\xFE\xFD"))), pong([]byte("\x00\xFF\xFE\xFD"))),
		framing("5.5.2", "a ping of 125 bytes", say(ping(full)), pong(full)),
		framing("5.5.2", "a ping of 125 bytes, byte by byte", chop(1, ping(full)), pong(full)),
		framing("5.5.2", "ten pings, each waited for", then(pairs(many, answers)...)),
		framing("5.5.2", "ten pings at once", say(many), mixed(tenPings)),
		framing("5.5.2", "ten pings, byte by byte", chop(1, many), mixed(tenPings)),
		framing("5.5.2", "a ping between messages", say(hello, ping([]byte("p")), hello), mixed([]string{"p"}, "Hello", "Hello")),
		framing("5.5", "a ping of 126 bytes is refused", say(ping(noise(126))), refuse(1002)),
		framing("5.5", "a ping of 126 bytes is refused before its payload has come", say(header(finBit|opPing, 126)), refuse(1002)),
		framing("5.5", "a ping of 70000 bytes is refused", say(header(finBit|opPing, 70000)), refuse(1002)),
		framing("5.5", "a ping of 5 bytes with a length of 16 bits is refused", say([]byte{finBit | opPing, maskBit | 126, 0, 5}, key[:]), refuse(1002)),
		framing("5.5", "a pong of 126 bytes is refused", say(header(finBit|opPong, 126)), refuse(1002)),
		framing("5.5", "a ping in fragments is refused", say(part(opPing, []byte("a")), whole(opContinuation, []byte("b"))), refuse(1002)),
		framing("5.5", "a pong in fragments is refused", say(part(opPong, []byte("a"))), refuse(1002)),
		framing("5.5.3", "a pong nobody asked for", say(whole(opPong, nil), hello), echo(opText, []byte("Hello"))),
		framing("5.5.3", "a pong with payload nobody asked for", say(whole(opPong, full), ping([]byte("p"))), pong([]byte("p"))),
		framing("5.5.3", "a pong between fragments", say(part(opText, []byte("a")), whole(opPong, full), whole(opContinuation, []byte("b"))), echo(opText, []byte("ab"))),
	}
}

func pairs(many []byte, answers []step) []step {
	var steps []step
	size := len(many) / len(answers)
	for i, a := range answers {
		steps = append(steps, say(many[i*size:(i+1)*size]), a)
	}
	return steps
}
