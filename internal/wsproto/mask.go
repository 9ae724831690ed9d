package wsproto

import (
	"encoding/binary"
	"math/bits"
)

// Mask applies a masking key to p in place, RFC 6455 5.3, and returns the key for the byte behind p.
func Mask(key uint32, p []byte) uint32 {
	if len(p) >= 8 {
		wide := uint64(key)<<32 | uint64(key)
		for len(p) >= 32 {
			q := p[:32]
			binary.LittleEndian.PutUint64(q, binary.LittleEndian.Uint64(q)^wide)
			binary.LittleEndian.PutUint64(q[8:], binary.LittleEndian.Uint64(q[8:])^wide)
			binary.LittleEndian.PutUint64(q[16:], binary.LittleEndian.Uint64(q[16:])^wide)
			binary.LittleEndian.PutUint64(q[24:], binary.LittleEndian.Uint64(q[24:])^wide)
			p = p[32:]
		}
		for len(p) >= 8 {
			binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^wide)
			p = p[8:]
		}
	}
	for i := range p {
		p[i] ^= byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return key
}
