package sseparse

// decoder is the UTF-8 decoder of the Encoding Standard, 8.1.1, with the
// standard's own variables.
type decoder struct {
	codePoint    rune
	seen, needed int
	lower, upper byte // bounds of the next continuation byte; both zero: 80..BF
}

// decode takes one byte and passes on the characters that it completes.
func (d *decoder) decode(b byte, emit func(rune)) {
	const replacement = 0xFFFD
	if d.needed == 0 {
		switch {
		case b <= 0x7F:
			emit(rune(b))
		case b >= 0xC2 && b <= 0xDF:
			d.needed, d.codePoint = 1, rune(b&0x1F)
		case b >= 0xE0 && b <= 0xEF:
			switch b {
			case 0xE0:
				d.lower, d.upper = 0xA0, 0xBF
			case 0xED:
				d.lower, d.upper = 0x80, 0x9F
			}
			d.needed, d.codePoint = 2, rune(b&0x0F)
		case b >= 0xF0 && b <= 0xF4:
			switch b {
			case 0xF0:
				d.lower, d.upper = 0x90, 0xBF
			case 0xF4:
				d.lower, d.upper = 0x80, 0x8F
			}
			d.needed, d.codePoint = 3, rune(b&0x07)
		default:
			emit(replacement)
		}
		return
	}
	lower, upper := byte(0x80), byte(0xBF)
	if d.upper != 0 {
		lower, upper = d.lower, d.upper
	}
	if b < lower || b > upper {
		*d = decoder{}
		emit(replacement)
		d.decode(b, emit)
		return
	}
	d.lower, d.upper = 0, 0
	d.codePoint = d.codePoint<<6 | rune(b&0x3F)
	if d.seen++; d.seen == d.needed {
		r := d.codePoint
		*d = decoder{}
		emit(r)
	}
}
