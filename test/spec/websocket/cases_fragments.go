package wsspec

import "fmt"

// fragments are section 5.4.
func fragments() []Case {
	ping := whole(opPing, []byte("ping"))
	ponged := pong([]byte("ping"))
	first, middle, last := part(opText, []byte("one ")), part(opContinuation, []byte("two ")), whole(opContinuation, []byte("three"))
	both, all := echo(opText, []byte("one three")), echo(opText, []byte("one two three"))
	cases := []Case{
		framing("5.4", "two fragments", say(first, last), both),
		framing("5.4", "two fragments in two packets", say(first), say(last), both),
		framing("5.4", "three fragments, byte by byte", chop(1, join(first, middle, last)), all),
		framing("5.4", "a binary message in fragments", say(part(opBinary, []byte{0xFF}), whole(opContinuation, []byte{0xFE})), echo(opBinary, []byte{0xFF, 0xFE})),
		framing("5.4", "empty fragments", say(part(opText, nil), part(opContinuation, nil), whole(opContinuation, nil)), echo(opText, nil)),
		framing("5.4", "an empty first fragment", say(part(opText, nil), last), echo(opText, []byte("three"))),
		framing("5.4", "an empty middle fragment", say(first, part(opContinuation, nil), last), both),
		framing("5.4", "an empty last fragment", say(first, whole(opContinuation, nil)), echo(opText, []byte("one "))),
		framing("5.4", "two messages in fragments", say(first, last, first, middle, last), both, all),
		framing("5.4", "a ping between two fragments", say(first, ping, last), ponged, both),
		framing("5.4", "a ping between two fragments is answered at once", say(first, ping), ponged, say(last), both),
		framing("5.4", "pings between three fragments", then(say(first, ping), ponged), then(say(middle, ping), ponged), say(last), all),
		framing("5.4", "a ping between two fragments, byte by byte", chop(1, join(first, ping, last)), ponged, both),
		framing("5.4", "a ping before and behind fragments", say(ping, first, last, whole(opPing, []byte("last"))), mixed([]string{"ping", "last"}, "one three")),
		framing("5.4", "a close frame between fragments", say(first, closing(1000, "")), refuse(1000)),
		framing("5.4", "a continuation of nothing is refused", say(whole(opContinuation, []byte("x"))), refuse(1002)),
		framing("5.4", "a continuation of nothing without FIN is refused", say(part(opContinuation, []byte("x"))), refuse(1002)),
		framing("5.4", "a continuation behind a whole message is refused", say(whole(opText, []byte("a")), whole(opContinuation, []byte("x"))), echo(opText, []byte("a")), refuse(1002)),
		framing("5.4", "a continuation behind the last fragment is refused", say(first, last, last), both, refuse(1002)),
		framing("5.4", "a continuation of nothing, byte by byte", chop(1, whole(opContinuation, []byte("x"))[:2]), refuse(1002)),
		framing("5.4", "a text between fragments is refused", say(first, whole(opText, []byte("x"))), refuse(1002)),
		framing("5.4", "a binary between fragments is refused", say(first, whole(opBinary, []byte("x"))), refuse(1002)),
		framing("5.4", "a first fragment between fragments is refused", say(first, middle, first), refuse(1002)),
		framing("5.4", "a text between fragments is refused before its payload has come", say(first, header(finBit|opText, 1000)), refuse(1002)),
	}
	for _, size := range []int{1, 100, 1300} {
		data := filler(min(65536, size*2000))
		cases = append(cases, framing("5.4", fmt.Sprintf("a message of %d bytes in fragments of %d", len(data), size),
			aside(pieces(opText, data, size), echo(opText, data))))
	}
	var frames []byte
	var pings []string
	data := filler(50 * 130)
	for i := range 50 {
		op := byte(opContinuation)
		if i == 0 {
			op = opText
		}
		frames = append(frames, part(op, data[i*130:(i+1)*130])...)
		frames = append(frames, whole(opPing, []byte{byte(i)})...)
		pings = append(pings, string(byte(i)))
	}
	frames = append(frames, whole(opContinuation, nil)...)
	return append(cases, framing("5.4", "a ping behind each of fifty fragments", aside(frames, mixed(pings, string(data)))))
}
