package wsspec

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// known are strings that are UTF-8, Markus Kuhn's and more: the first and the last of each length, boundaries,
// non-characters, and characters of one to four bytes side by side.
var known = map[string]string{
	"a Greek word":              "κόσμε",
	"mixed":                     "Hello-µ@ßöäüàá-UTF-8!!",
	"NUL":                       "\x00",
	"U+007F":                    "\x7F",
	"U+0080":                    "\xC2\x80",
	"U+07FF":                    "\xDF\xBF",
	"U+0800":                    "\xE0\xA0\x80",
	"U+FFFF":                    "\xEF\xBF\xBF",
	"U+10000":                   "\xF0\x90\x80\x80",
	"U+10FFFF":                  "\xF4\x8F\xBF\xBF",
	"U+D7FF":                    "\xED\x9F\xBF",
	"U+E000":                    "\xEE\x80\x80",
	"U+FFFD":                    "\xEF\xBF\xBD",
	"U+FFFE":                    "\xEF\xBF\xBE",
	"a byte order mark":         "\xEF\xBB\xBF",
	"U+1FFFE":                   "\xF0\x9F\xBF\xBE",
	"U+8FFFF":                   "\xF2\x8F\xBF\xBF",
	"U+10FFFE":                  "\xF4\x8F\xBF\xBE",
	"every length side by side": "a\xC2\xA2\xE2\x82\xAC\xF0\x90\x8D\x88b",
}

// broken are strings that are not.
var broken = map[string]string{
	"a surrogate in a Greek word":            "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0\x80edited",
	"above U+10FFFF in a Greek word":         "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xF4\x90\x80\x80edited",
	"U+110000":                               "\xF4\x90\x80\x80",
	"5 bytes, first":                         "\xF8\x88\x80\x80\x80",
	"5 bytes, last":                          "\xFB\xBF\xBF\xBF\xBF",
	"6 bytes, first":                         "\xFC\x84\x80\x80\x80\x80",
	"6 bytes, last":                          "\xFD\xBF\xBF\xBF\xBF\xBF",
	"U+1FFFFF":                               "\xF7\xBF\xBF\xBF",
	"the first continuation byte":            "\x80",
	"the last continuation byte":             "\xBF",
	"2 continuation bytes":                   "\x80\xBF",
	"7 continuation bytes":                   "\x80\xBF\x80\xBF\x80\xBF\x80",
	"a continuation byte behind a character": "\xC2\x80\x80",
	"0xFE":                                   "\xFE",
	"0xFF":                                   "\xFF",
	"0xFE 0xFE 0xFF 0xFF":                    "\xFE\xFE\xFF\xFF",
	"an overlong slash of 2":                 "\xC0\xAF",
	"an overlong slash of 3":                 "\xE0\x80\xAF",
	"an overlong slash of 4":                 "\xF0\x80\x80\xAF",
	"an overlong slash of 5":                 "\xF8\x80\x80\x80\xAF",
	"an overlong slash of 6":                 "\xFC\x80\x80\x80\x80\xAF",
	"the last overlong of 2":                 "\xC1\xBF",
	"the last overlong of 3":                 "\xE0\x9F\xBF",
	"the last overlong of 4":                 "\xF0\x8F\xBF\xBF",
	"an overlong NUL of 2":                   "\xC0\x80",
	"an overlong NUL of 3":                   "\xE0\x80\x80",
	"an overlong NUL of 4":                   "\xF0\x80\x80\x80",
	"U+D800":                                 "\xED\xA0\x80",
	"U+DB7F":                                 "\xED\xAD\xBF",
	"U+DB80":                                 "\xED\xAE\x80",
	"U+DBFF":                                 "\xED\xAF\xBF",
	"U+DC00":                                 "\xED\xB0\x80",
	"U+DF80":                                 "\xED\xBE\x80",
	"U+DFFF":                                 "\xED\xBF\xBF",
	"paired surrogates, first":               "\xED\xA0\x80\xED\xB0\x80",
	"paired surrogates, last":                "\xED\xAF\xBF\xED\xBF\xBF",
	"lonely starts of 2":                     "\xC2 \xDF ",
	"lonely starts of 3":                     "\xE0 \xEF ",
	"lonely starts of 4":                     "\xF0 \xF4 ",
	"the last byte of 3 missing":             "\xE2\x82x",
	"the last byte of 4 missing":             "\xF0\x9D\x84x",
	"a start behind an unfinished one":       "\xE2\x82\xE2\x82\xAC",
	"0xC1":                                   "\xC1",
	"0xF5":                                   "\xF5",
}

// unfinished end in the middle of a character.
var unfinished = map[string]string{
	"1 of 2": "\xDF", "1 of 3": "\xE0", "2 of 3": "\xE0\xA0", "1 of 4": "\xF0", "2 of 4": "\xF0\x90", "3 of 4": "\xF0\x90\x80",
	"behind text": "κόσμ\xCE",
}

// wrong returns how many bytes of s it takes to know that s is not UTF-8.
func wrong(s string) int {
	for n := 0; n < len(s); {
		r, size := utf8.DecodeRuneInString(s[n:])
		if r == utf8.RuneError && size == 1 {
			for k := n + 1; ; k++ {
				if utf8.FullRuneInString(s[n:k]) {
					return k
				}
			}
		}
		n += size
	}
	return -1
}

// encoding is section 8.1, with what RFC 3629 calls UTF-8.
func encoding() []Case {
	const section = "8.1"
	var cases []Case
	add := func(name string, steps ...step) { cases = append(cases, framing(section, name, steps...)) }
	for name, s := range inOrder(known) {
		data := []byte("before " + s + " behind")
		add(name, say(whole(opText, data)), echo(opText, data))
		add(name+" in fragments of a byte", say(pieces(opText, data, 1)), echo(opText, data))
		add(name+", byte by byte", chop(1, whole(opText, data)), echo(opText, data))
	}
	for name, s := range inOrder(broken) {
		at := wrong("before " + s)
		data := []byte("before " + s + " behind")
		seen := data[:at]
		add(name+" is refused", say(whole(opText, data)), refuse(1007))
		add(name+" in fragments is refused", say(pieces(opText, data, 1)), refuse(1007))
		add(name+" is refused before the message is whole", say(part(opText, seen)), refuse(1007))
		add(name+" is refused before the fragment is whole", say(part(opText, data[:3]), header(opContinuation, 1000), masked(seen[3:])), refuse(1007))
		add(name+" is refused before the frame is whole", say(header(finBit|opText, 1000), masked(seen)), refuse(1007))
		add(name+" is refused at the earliest byte", say(header(finBit|opText, 1000)), chop(1, masked(seen)), refuse(1007))
		add(name+" as binary", say(whole(opBinary, data)), echo(opBinary, data))
	}
	for name, s := range inOrder(unfinished) {
		data := []byte(s)
		add("unfinished, "+name+", is refused", say(whole(opText, data)), refuse(1007))
		add("unfinished, "+name+", in fragments is refused", say(pieces(opText, data, 1), nil), refuse(1007))
		add("unfinished, "+name+", is refused when the last fragment is empty", say(part(opText, data), whole(opContinuation, nil)), refuse(1007))
		add("unfinished, "+name+", is not refused before the message ends", say(part(opText, data), whole(opPing, nil)), pong(nil), say(whole(opContinuation, []byte("x"))), refuse(1007))
	}
	long := []byte(strings.Repeat("κόσμε€\U0001D11E", 4000))
	add("a long text in portions that cut characters", aside(nil, chop(997, whole(opText, long)), echo(opText, long)))
	add("a long text in fragments that cut characters", aside(pieces(opText, long, 997), echo(opText, long)))
	bad := append(slices.Clip(long), 0xFF)
	add("the last byte of a long text is refused", say(header(finBit|opText, uint64(len(bad)+10)), masked(bad)), refuse(1007))
	add("a character cut by a ping", say(part(opText, []byte("\xE2\x82")), whole(opPing, []byte("\xFF"))), pong([]byte("\xFF")),
		say(whole(opContinuation, []byte("\xAC"))), echo(opText, []byte("€")))
	add("the state ends with its message", say(part(opText, []byte("\xE2\x82")), whole(opContinuation, []byte("\xAC")), whole(opText, []byte("\x82"))),
		echo(opText, []byte("€")), refuse(1007))
	for _, n := range []int{7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65} {
		text := append(filler(n), 0xE2)
		add(fmt.Sprintf("0xE2 0x28 behind %d bytes of ASCII", n), say(header(finBit|opText, 500), masked(append(text, '('))), refuse(1007))
	}
	return cases
}

// inOrder yields a map by its keys.
func inOrder[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
