package wsspec

import (
	"errors"
	"fmt"
	"slices"
)

// inflater reads what a server has compressed and refuses every reference that is longer than the window.
type inflater struct {
	bits     int
	takeover bool
	history  []byte
	limit    int // of one message, in bytes; zero is none

	in  []byte
	at  int // in bits
	out []byte
	// most is how long out may get, if there is a limit.
	most int
}

var (
	errShort   = errors.New("the compressed data ends too early")
	errTooMuch = errors.New("more than the limit when inflated")
)

// message returns what the payload of a compressed message holds: RFC 7692 section 7.2.2.
func (f *inflater) message(payload []byte) ([]byte, error) {
	f.in, f.at = append(slices.Clip(payload), 0x00, 0x00, 0xFF, 0xFF), 0
	if !f.takeover {
		f.history = nil
	}
	f.out = append([]byte(nil), f.history...)
	f.most = len(f.out) + f.limit
	for 8*len(f.in)-f.at >= 8 {
		if err := f.block(); err != nil {
			return nil, err
		}
	}
	if f.at != 8*len(f.in) {
		return nil, errors.New("the compressed data doesn't end with its message")
	}
	message := f.out[len(f.history):]
	f.history = f.out[max(0, len(f.out)-1<<f.bits):]
	return message, nil
}

func (f *inflater) take(n int) (int, error) {
	v := 0
	for i := range n {
		if f.at>>3 >= len(f.in) {
			return 0, errShort
		}
		v |= int(f.in[f.at>>3]>>(f.at&7)&1) << i
		f.at++
	}
	return v, nil
}

func (f *inflater) block() error {
	h, err := f.take(3)
	if err != nil {
		return err
	}
	switch h >> 1 {
	case 0:
		err = f.stored()
	case 1:
		err = f.coded(fixedLiterals, fixedDistances)
	case 2:
		var literals, distances *huffman
		if literals, distances, err = f.dynamic(); err == nil {
			err = f.coded(literals, distances)
		}
	default:
		err = errors.New("a block of type 3")
	}
	if h&1 != 0 {
		f.at = (f.at + 7) &^ 7
	}
	return err
}

func (f *inflater) stored() error {
	f.at = (f.at + 7) &^ 7
	b := f.in[f.at>>3:]
	if len(b) < 4 {
		return errShort
	}
	n := int(b[0]) | int(b[1])<<8
	if n != int(^b[2])|int(^b[3])<<8 {
		return errors.New("a stored block with a wrong length")
	}
	if len(b) < 4+n {
		return errShort
	}
	f.out = append(f.out, b[4:4+n]...)
	f.at += 8 * (4 + n)
	return nil
}

func (f *inflater) coded(literals, distances *huffman) error {
	for {
		if f.limit > 0 && len(f.out) > f.most {
			return errTooMuch
		}
		symbol, err := literals.decode(f)
		if err != nil {
			return err
		}
		switch {
		case symbol < 256:
			f.out = append(f.out, byte(symbol))
			continue
		case symbol == 256:
			return nil
		case symbol > 285:
			return fmt.Errorf("length symbol %d", symbol)
		}
		more, err := f.take(lengthExtra[symbol-257])
		if err != nil {
			return err
		}
		length := lengthBase[symbol-257] + more
		if symbol, err = distances.decode(f); err != nil {
			return err
		}
		if symbol > 29 {
			return fmt.Errorf("distance symbol %d", symbol)
		}
		if more, err = f.take(distanceExtra[symbol]); err != nil {
			return err
		}
		from := distanceBase[symbol] + more
		if from > 1<<f.bits || from > len(f.out) {
			return fmt.Errorf("a reference to %d bytes before, with %d there and a window of %d", from, len(f.out), 1<<f.bits)
		}
		for range length {
			f.out = append(f.out, f.out[len(f.out)-from])
		}
	}
}

// dynamic reads the codes of a block of type 2: RFC 1951 section 3.2.7.
func (f *inflater) dynamic() (literals, distances *huffman, err error) {
	h, err := f.take(14)
	if err != nil {
		return nil, nil, err
	}
	nLiterals, nDistances, n := h&31+257, h>>5&31+1, h>>10+4
	var codes [19]int
	for _, i := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:n] {
		if codes[i], err = f.take(3); err != nil {
			return nil, nil, err
		}
	}
	meta := newHuffman(codes[:])
	var all []int
	for len(all) < nLiterals+nDistances {
		symbol, err := meta.decode(f)
		if err != nil {
			return nil, nil, err
		}
		value, bits, base := 0, 0, 1
		switch symbol {
		case 16:
			if len(all) == 0 {
				return nil, nil, errors.New("a repetition of nothing")
			}
			value, bits, base = all[len(all)-1], 2, 3
		case 17:
			bits, base = 3, 3
		case 18:
			bits, base = 7, 11
		default:
			value = symbol
		}
		more, err := f.take(bits)
		if err != nil {
			return nil, nil, err
		}
		for range base + more {
			all = append(all, value)
		}
	}
	if len(all) != nLiterals+nDistances {
		return nil, nil, errors.New("more code lengths than announced")
	}
	return newHuffman(all[:nLiterals]), newHuffman(all[nLiterals:]), nil
}

// huffman decodes canonical codes bit by bit.
type huffman struct {
	counts  [16]int
	symbols []int
}

func newHuffman(lengths []int) *huffman {
	h := &huffman{}
	for length := 1; length < 16; length++ {
		for symbol, l := range lengths {
			if l == length {
				h.counts[length]++
				h.symbols = append(h.symbols, symbol)
			}
		}
	}
	return h
}

func (h *huffman) decode(f *inflater) (int, error) {
	code, first, index := 0, 0, 0
	for length := 1; length < 16; length++ {
		bit, err := f.take(1)
		if err != nil {
			return 0, err
		}
		code |= bit
		if n := h.counts[length]; code-n < first {
			return h.symbols[index+code-first], nil
		}
		index += h.counts[length]
		first = (first + h.counts[length]) << 1
		code <<= 1
	}
	return 0, errors.New("a code that stands for nothing")
}

var fixedLiterals, fixedDistances = func() (literals, distances *huffman) {
	lengths := make([]int, 288)
	for i := range lengths {
		switch {
		case i < 144 || i >= 280:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		default:
			lengths[i] = 7
		}
	}
	five := make([]int, 30)
	for i := range five {
		five[i] = 5
	}
	return newHuffman(lengths), newHuffman(five)
}()
