package wsspec

import (
	"fmt"
	"strings"
)

// closes are section 5.5.1 and 7: the close handshake.
func closes() []Case {
	hello := whole(opText, []byte("Hello"))
	echoed := echo(opText, []byte("Hello"))
	gone := (*conn).end
	answered := func(code int) step {
		return func(c *conn) error {
			r, err := c.next()
			if err != nil {
				return err
			}
			got, err := r.status()
			if err == nil && got != code {
				err = fmt.Errorf("got %v, want close %d", r, code)
			}
			return err
		}
	}
	big := filler(200_000)
	add := func(name string, steps ...step) Case { return framing("5.5.1", name, steps...) }
	return []Case{
		add("nothing but close", say(closing(1000, "")), refuse(1000)),
		add("a message, then close", say(hello, closing(1000, "bye")), echoed, refuse(1000)),
		add("close, byte by byte", chop(1, closing(1000, "bye")), refuse(1000)),
		add("an empty close", say(whole(opClose, nil)), refuse(0, 1000)),
		add("a reason", say(closing(1000, "Hello World!")), refuse(1000)),
		add("a reason of 123 bytes", say(closing(1000, strings.Repeat("*", 123))), refuse(1000)),
		add("a reason of many alphabets", say(closing(1001, "κόσμε€\U0001D11E")), refuse(1001)),
		add("a close of one byte is refused", say(whole(opClose, []byte{3})), refuse(1002)),
		add("a reason of 124 bytes is refused", say(closing(1000, strings.Repeat("*", 124))), refuse(1002)),
		add("a close of 126 bytes is refused before its payload has come", say(header(finBit|opClose, 126)), refuse(1002)),
		add("a close in fragments is refused", say(part(opClose, []byte{3, 232})), refuse(1002)),
		add("a reason that is no UTF-8 is refused", say(closing(1000, "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xED\xA0\x80edited")), refuse(1007)),
		add("a reason that ends within a character is refused", say(closing(1000, "x\xE2\x82")), refuse(1007)),
		add("two close frames", say(closing(1000, ""), closing(1000, "")), answered(1000), gone),
		add("a message behind the close frame is not answered", say(closing(1000, ""), hello), answered(1000), gone),
		add("a ping behind the close frame is not answered", say(closing(1000, ""), whole(opPing, nil)), answered(1000), gone),
		add("rubbish behind the close frame changes nothing", say(closing(1000, ""), noise(300)), answered(1000), gone),
		add("what came before is answered first", aside(join(whole(opText, big), closing(1000, "")), echo(opText, big), refuse(1000))),
		add("a close in the middle of a message", say(part(opText, []byte("Hel")), closing(1000, "")), refuse(1000)),
		add("much behind what is refused doesn't destroy the close frame", say(whole(opText|0x70, nil), filler(16<<10)), answered(1002), gone),
		framing("7.1.7", "nothing is answered behind a failure", say(whole(opText|0x70, nil), hello, whole(opPing, nil)), answered(1002), gone),
	}
}

// codes are section 7.4.
func codes() []Case {
	var cases []Case
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		cases = append(cases, framing("7.4", fmt.Sprintf("close %d is echoed", code), say(closing(code, "")), refuse(code)))
	}
	for _, code := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases = append(cases,
			framing("7.4", fmt.Sprintf("close %d is refused", code), say(closing(code, "")), refuse(1002)),
			framing("7.4", fmt.Sprintf("close %d with a reason is refused", code), say(closing(code, "reason")), refuse(1002)))
	}
	return cases
}
