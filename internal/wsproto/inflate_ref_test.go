package wsproto_test

import "testing"

// bitReader reads the bits of a deflate stream, RFC 1951 3.1.1.
type bitReader struct {
	t   *testing.T
	in  []byte
	pos int
}

func (b *bitReader) bits(n int) int {
	v := 0
	for i := range n {
		if b.pos/8 >= len(b.in) {
			b.t.Fatal("the deflate stream ends early")
		}
		v |= int(b.in[b.pos/8]>>(b.pos%8)&1) << i
		b.pos++
	}
	return v
}

// codeTable is a Huffman code: symbols by bits, with a one in front that tells the length.
type codeTable []int16

func table(lengths []int) codeTable {
	t := make(codeTable, 1<<16)
	code := 0
	for n := 1; n <= 15; n++ {
		for s, l := range lengths {
			if l == n {
				t[1<<n|code] = int16(s + 1)
				code++
			}
		}
		code <<= 1
	}
	return t
}

func (b *bitReader) symbol(t codeTable) int {
	code := 0
	for n := 1; n <= 15; n++ {
		code = code<<1 | b.bits(1)
		if s := t[1<<n|code]; s > 0 {
			return int(s - 1)
		}
	}
	b.t.Fatal("no such code")
	return 0
}

var (
	lengthBase = []int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthMore = []int{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase   = []int{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distMore   = []int{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	order      = []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

// inflateStrictly inflates a stream that follows past, by the letter of RFC 1951, and tells how far back it refers.
func inflateStrictly(t *testing.T, in, past []byte) (out []byte, farthest int) {
	t.Helper()
	b := &bitReader{t: t, in: in}
	all := append([]byte(nil), past...)
	for final := 0; final == 0; {
		final = b.bits(1)
		var lit, dist codeTable
		switch b.bits(2) {
		case 0:
			b.pos = (b.pos + 7) / 8 * 8
			n := b.bits(16)
			if b.bits(16) != n^0xffff {
				t.Fatal("wrong length of a stored block")
			}
			for range n {
				all = append(all, byte(b.bits(8)))
			}
			continue
		case 1:
			lengths := make([]int, 288)
			for i := range lengths {
				switch {
				case i < 144:
					lengths[i] = 8
				case i < 256:
					lengths[i] = 9
				case i < 280:
					lengths[i] = 7
				default:
					lengths[i] = 8
				}
			}
			lit = table(lengths)
			five := make([]int, 30)
			for i := range five {
				five[i] = 5
			}
			dist = table(five)
		case 2:
			lit, dist = b.tables()
		default:
			t.Fatal("no such block")
		}
		for {
			s := b.symbol(lit)
			if s < 256 {
				all = append(all, byte(s))
				continue
			}
			if s == 256 {
				break
			}
			n := lengthBase[s-257] + b.bits(lengthMore[s-257])
			s = b.symbol(dist)
			far := distBase[s] + b.bits(distMore[s])
			if far > len(all) {
				t.Fatalf("refers back %d of %d bytes", far, len(all))
			}
			farthest = max(farthest, far)
			for range n {
				all = append(all, all[len(all)-far])
			}
		}
	}
	return all[len(past):], farthest
}

// tables reads the codes of a block, RFC 1951 3.2.7.
func (b *bitReader) tables() (lit, dist codeTable) {
	nlit, ndist, ncode := b.bits(5)+257, b.bits(5)+1, b.bits(4)+4
	lengths := make([]int, 19)
	for _, i := range order[:ncode] {
		lengths[i] = b.bits(3)
	}
	codes := table(lengths)
	all := make([]int, 0, nlit+ndist)
	for len(all) < nlit+ndist {
		s, n, v := b.symbol(codes), 1, 0
		switch {
		case s < 16:
			v = s
		case s == 16:
			n, v = 3+b.bits(2), all[len(all)-1]
		case s == 17:
			n = 3 + b.bits(3)
		default:
			n = 11 + b.bits(7)
		}
		for range n {
			all = append(all, v)
		}
	}
	return table(all[:nlit]), table(all[nlit:])
}
