package wsproto

// Opcode is what a frame is, RFC 6455 11.8.
type Opcode byte

// Opcodes.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// Control reports whether o is an opcode of control frames.
func (o Opcode) Control() bool { return o&0x8 != 0 }

const (
	finBit  = 0x80
	rsv1Bit = 0x40
	rsvBits = 0x70
	opBits  = 0x0F
	maskBit = 0x80
	lenBits = 0x7F

	// MaxControl is the most bytes of payload that a control frame may have.
	MaxControl = 125
	// MaxHeader is the most bytes that the header of a frame has.
	MaxHeader = 14
)
