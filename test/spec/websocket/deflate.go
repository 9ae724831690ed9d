package wsspec

import "slices"

// deflater compresses messages with fixed Huffman codes and no reference longer than its window, as simply as can be.
type deflater struct {
	bits     int  // log2 of the window
	takeover bool // messages refer to the ones before
	history  []byte
	before   int                // bytes that were in front of history
	seen     [1 << hashBits]int // one behind the newest place of three bytes, by their hash, counted from the first byte of all
	writer   bitWriter
}

const hashBits = 12

func hash(b []byte) uint32 {
	return (uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16) * 0x9E3779B1 >> (32 - hashBits)
}

// message returns the payload of a compressed message: RFC 7692 section 7.2.1.
func (d *deflater) message(data []byte) []byte {
	d.writer = bitWriter{}
	if !d.takeover {
		d.before += len(d.history)
		d.history = nil
	}
	d.block(data)
	d.writer.bits(0, 3) // an empty stored block, of which the last four bytes are left out
	d.writer.align()
	return d.writer.out
}

// block writes a block of type 1.
func (d *deflater) block(data []byte) {
	w := &d.writer
	w.bits(0b010, 3)
	all := append(slices.Clip(d.history), data...)
	for i := len(d.history); i < len(all); {
		length, from := 1, 0
		if i+3 <= len(all) {
			at := d.seen[hash(all[i:])] - 1 - d.before
			if at >= 0 && i-at <= 1<<d.bits && [3]byte(all[at:]) == [3]byte(all[i:]) {
				for length = 3; i+length < len(all) && length < 258 && all[at+length] == all[i+length]; length++ {
				}
				from = i - at
			}
		}
		if from > 0 {
			w.length(length)
			w.distance(from)
		} else {
			w.literal(int(all[i]))
		}
		for range length {
			if i+3 <= len(all) {
				d.seen[hash(all[i:])] = d.before + i + 1
			}
			i++
		}
	}
	w.literal(256)
	cut := max(0, len(all)-1<<d.bits)
	d.before += cut
	d.history = all[cut:]
}

// bitWriter writes from the least significant bit on.
type bitWriter struct {
	out  []byte
	acc  uint32
	have int
}

func (w *bitWriter) bits(v uint32, n int) {
	w.acc |= v << w.have
	for w.have += n; w.have >= 8; w.have -= 8 {
		w.out = append(w.out, byte(w.acc))
		w.acc >>= 8
	}
}

func (w *bitWriter) align() {
	if w.have > 0 {
		w.bits(0, 8-w.have)
	}
}

// code writes a Huffman code, which begins with its most significant bit.
func (w *bitWriter) code(v uint32, n int) {
	for n--; n >= 0; n-- {
		w.bits(v>>n&1, 1)
	}
}

// literal writes a literal or length symbol in the fixed code: RFC 1951 section 3.2.6.
func (w *bitWriter) literal(symbol int) {
	s := uint32(symbol)
	switch {
	case symbol < 144:
		w.code(0x30+s, 8)
	case symbol < 256:
		w.code(0x190+s-144, 9)
	case symbol < 280:
		w.code(s-256, 7)
	default:
		w.code(0xC0+s-280, 8)
	}
}

func (w *bitWriter) length(n int) {
	i := len(lengthBase) - 1
	for lengthBase[i] > n {
		i--
	}
	w.literal(257 + i)
	w.bits(uint32(n-lengthBase[i]), lengthExtra[i])
}

func (w *bitWriter) distance(n int) {
	i := len(distanceBase) - 1
	for distanceBase[i] > n {
		i--
	}
	w.code(uint32(i), 5)
	w.bits(uint32(n-distanceBase[i]), distanceExtra[i])
}

// RFC 1951 section 3.2.5.
var (
	lengthBase    = []int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra   = []int{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distanceBase  = []int{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distanceExtra = []int{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)
