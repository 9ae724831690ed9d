package wsspec

import "encoding/binary"

// Opcodes, RFC 6455 section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

const (
	finBit  = 0x80
	rsv1Bit = 0x40
	maskBit = 0x80
)

// key masks what the client says. Where a case needs another, it makes its frame itself.
var key = [4]byte{0x37, 0xFA, 0x21, 0x3D}

// frame makes a masked frame of the shortest form. first is the first byte: FIN, reserved bits and opcode.
func frame(first byte, payload []byte) []byte {
	return append(header(first, uint64(len(payload))), masked(payload)...)
}

// header makes the header of a masked frame, without its payload.
func header(first byte, length uint64) []byte {
	b := []byte{first}
	switch {
	case length < 126:
		b = append(b, maskBit|byte(length))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, maskBit|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, maskBit|127), length)
	}
	return append(b, key[:]...)
}

// masked returns a payload as it goes over the wire.
func masked(payload []byte) []byte {
	b := make([]byte, len(payload))
	for i := range payload {
		b[i] = payload[i] ^ key[i%4]
	}
	return b
}

// whole makes a message of one frame.
func whole(op byte, payload []byte) []byte { return frame(finBit|op, payload) }

// part makes a frame that is not the last of its message.
func part(op byte, payload []byte) []byte { return frame(op, payload) }

// closing makes a close frame.
func closing(code int, reason string) []byte {
	return whole(opClose, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}

// pieces makes a message of frames with at most size bytes each.
func pieces(op byte, payload []byte, size int) []byte {
	var b []byte
	for len(payload) > size {
		b = append(b, part(op, payload[:size])...)
		op, payload = opContinuation, payload[size:]
	}
	return append(b, whole(op, payload)...)
}

// join concatenates frames, so that they are sent at once.
func join(frames ...[]byte) []byte {
	var b []byte
	for _, f := range frames {
		b = append(b, f...)
	}
	return b
}

// filler is text of n bytes that a compressor can't make nothing of: it repeats, but never the same way.
func filler(n int) []byte {
	const words = "the quick brown fox jumps over the lazy dog and {\"key\":12345} "
	b := make([]byte, 0, n+8)
	for i := 0; len(b) < n; i++ {
		at := i * 7 % len(words)
		b = append(b, words[at:min(at+5+i%11, len(words))]...)
		b = append(b, byte('a'+i*i%23))
	}
	return b[:n]
}

// noise is n bytes that no compressor makes shorter.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint64(n)*2 + 0x9E3779B97F4A7C15
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return b
}
