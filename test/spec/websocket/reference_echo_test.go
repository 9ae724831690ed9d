package wsspec

import (
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf8"
)

// fragment reads the payload of a fragment, and refuses text at the earliest byte.
func (p *echoing) fragment(first byte, length uint64) error {
	if p.first == 0 {
		p.first = first
	}
	text := p.first&0x0F == opText && p.first&rsv1Bit == 0 && !p.has("any text") && !p.has("text is judged when it is whole")
	for i := range length {
		b, err := p.in.ReadByte()
		if err != nil {
			return err
		}
		p.data = append(p.data, b^p.mask[i%4])
		if text && (p.in.Buffered() == 0 || i == length-1) && !p.begins() {
			return failing(1007)
		}
	}
	return nil
}

// begins reports whether the data so far can be the beginning of UTF-8.
func (p *echoing) begins() bool {
	for p.whole < len(p.data) && utf8.FullRune(p.data[p.whole:]) {
		r, size := utf8.DecodeRune(p.data[p.whole:])
		if r == utf8.RuneError && size == 1 {
			return false
		}
		p.whole += size
	}
	return true
}

// echo answers a message that is whole.
func (p *echoing) echo() error {
	first, data := p.first, p.data
	p.first, p.data, p.whole = 0, nil, 0
	if first&rsv1Bit != 0 && p.a.on {
		var err error
		data, err = p.window.message(data)
		if errors.Is(err, errTooMuch) || err == nil && int64(len(data)) > p.limit && p.window.limit > 0 {
			return failing(1009)
		}
		if err != nil && !p.has("any compressed data") {
			return failing(1007)
		}
	}
	if first&0x0F == opText && !utf8.Valid(data) && !p.has("any text") {
		return failing(1007)
	}
	op := first & 0x0F
	if p.has("text comes back as binary") {
		op = opBinary
	}
	if !p.a.on || len(data) < 4 {
		p.send(finBit|op, data)
		return nil
	}
	payload := p.out.message(data)
	if p.has("RSV1 missing") {
		p.send(finBit|op, payload)
		return nil
	}
	p.send(finBit|rsv1Bit|op, payload)
	return nil
}

// control answers a control frame; done is the end of the connection.
func (p *echoing) control(first byte, length uint64) (done bool, err error) {
	data := make([]byte, length)
	if _, err := io.ReadFull(p.in, data); err != nil {
		return true, err
	}
	for i := range data {
		data[i] ^= p.mask[i%4]
	}
	switch first & 0x0F {
	case opPing:
		if p.has("pings wait for the message") && p.first != 0 {
			return false, nil
		}
		if p.has("pongs are empty") {
			data = nil
		}
		p.send(finBit|opPong, data)
		return false, nil
	case opPong:
		if p.has("pongs are unexpected") {
			return true, failing(1002)
		}
		return false, nil
	case opClose:
	default:
		return false, nil
	}
	switch {
	case p.has("close is not answered"):
		return true, nil
	case len(data) == 0:
		p.close(0, "")
	case len(data) == 1 && !p.has("a close of one byte"):
		return true, failing(1002)
	case len(data) == 1:
		p.close(1000, "")
	default:
		code := int(binary.BigEndian.Uint16(data))
		if !p.has("any close code") && (code < 1000 || code >= 1015 && code < 3000 || code >= 5000 || code >= 1004 && code <= 1006) {
			return true, failing(1002)
		}
		if !utf8.Valid(data[2:]) && !p.has("any close reason") {
			return true, failing(1007)
		}
		if p.has("close is always 1000") {
			code = 1000
		}
		p.close(code, string(data[2:]))
	}
	return !p.has("data behind close"), nil
}
