package wsproto

import "encoding/binary"

// Frame is the header of a frame to be sent.
type Frame struct {
	Opcode     Opcode
	Fin        bool
	Compressed bool   // RSV1, on the first frame of a message
	Masked     bool   // by Key: a client's
	Key        uint32 // random, another for each frame
}

// AppendHeader appends the header of a frame with a payload of n bytes.
func (f Frame) AppendHeader(b []byte, n int) []byte {
	first := byte(f.Opcode)
	if f.Fin {
		first |= finBit
	}
	if f.Compressed {
		first |= rsv1Bit
	}
	mask := byte(0)
	if f.Masked {
		mask = maskBit
	}
	switch {
	case n <= MaxControl:
		b = append(b, first, mask|byte(n))
	case n <= 0xFFFF:
		b = append(b, first, mask|126)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b = append(b, first, mask|127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if f.Masked {
		b = binary.LittleEndian.AppendUint32(b, f.Key)
	}
	return b
}

// HeaderLen is how many bytes AppendHeader appends.
func (f Frame) HeaderLen(n int) int {
	l := 2
	switch {
	case n > 0xFFFF:
		l += 8
	case n > MaxControl:
		l += 2
	}
	if f.Masked {
		l += 4
	}
	return l
}

// AppendFrame appends a whole frame, masked if f says so.
func AppendFrame(b []byte, f Frame, payload []byte) []byte {
	b = f.AppendHeader(b, len(payload))
	at := len(b)
	b = append(b, payload...)
	if f.Masked {
		Mask(f.Key, b[at:])
	}
	return b
}

// AppendClose appends a close frame; opcode and FIN of f don't matter. See [AppendClosePayload].
func AppendClose(b []byte, f Frame, code int, reason string) []byte {
	f.Opcode, f.Fin, f.Compressed = Close, true, false
	var buf [MaxControl]byte
	return AppendFrame(b, f, AppendClosePayload(buf[:0], code, reason))
}
