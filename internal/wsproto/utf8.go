package wsproto

import "unicode/utf8"

// UTF8 validates text that comes in pieces, cut anywhere. The zero value is ready.
type UTF8 struct {
	need   uint8 // continuation bytes that are missing
	lo, hi byte  // bounds of the next one
}

// Valid takes the next piece. It reports false as soon as no continuation can make the text valid.
func (u *UTF8) Valid(p []byte) bool {
	for u.need > 0 && len(p) > 0 {
		if !u.next(p[0]) {
			return false
		}
		p = p[1:]
	}
	whole := len(p) - open(p)
	if !utf8.Valid(p[:whole]) {
		return false
	}
	for _, c := range p[whole:] {
		if !u.next(c) {
			return false
		}
	}
	return true
}

// Complete reports whether the text may end here.
func (u *UTF8) Complete() bool { return u.need == 0 }

// open returns how many bytes at the end of p may be the start of a character that is not complete.
func open(p []byte) int {
	for n := 1; n <= min(3, len(p)); n++ {
		switch c := p[len(p)-n]; {
		case c < 0x80:
			return 0
		case c >= 0xC0:
			if c >= 0xF0 && n < 4 || c >= 0xE0 && n < 3 || n < 2 {
				return n
			}
			return 0
		}
	}
	return 0
}

// next takes one byte, by table 3-7 of the Unicode standard.
func (u *UTF8) next(c byte) bool {
	if u.need > 0 {
		if c < u.lo || c > u.hi {
			return false
		}
		u.need--
		u.lo, u.hi = 0x80, 0xBF
		return true
	}
	u.lo, u.hi = 0x80, 0xBF
	switch {
	case c < 0x80:
	case c < 0xC2:
		return false
	case c < 0xE0:
		u.need = 1
	case c < 0xF0:
		u.need = 2
		switch c {
		case 0xE0:
			u.lo = 0xA0
		case 0xED:
			u.hi = 0x9F
		}
	case c < 0xF5:
		u.need = 3
		switch c {
		case 0xF0:
			u.lo = 0x90
		case 0xF4:
			u.hi = 0x8F
		}
	default:
		return false
	}
	return true
}
