package wsproto

// Error is a violation of the protocol by the peer.
type Error struct {
	// Code is the status code of the close frame that answers it.
	Code int
	// Reason says what was wrong. It fits into a close frame.
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return "websocket: " + e.Reason }

func violation(reason string) *Error { return &Error{ProtocolError, reason} }

// Violations. All of them are found before anything is allocated.
var (
	errUnmasked     = violation("frame of a client is not masked")
	errMasked       = violation("frame of a server is masked")
	errReserved     = violation("reserved bit is set")
	errOpcode       = violation("reserved opcode")
	errFragmented   = violation("control frame is fragmented")
	errControlSize  = violation("control frame is longer than 125 bytes")
	errNotMinimal   = violation("length is not in its shortest form")
	errLength       = violation("length has its most significant bit set")
	errContinuation = violation("continuation frame without a message to continue")
	errInterleaved  = violation("new message within a fragmented one")
	errCloseSize    = violation("close frame of one byte")
	errCloseCode    = violation("close code is not valid")
	errCloseReason  = &Error{InvalidPayload, "close reason is not UTF-8"}
	errDeflate      = &Error{InvalidPayload, "compressed data are corrupt"}

	// ErrText means that a text message is not UTF-8.
	ErrText = &Error{InvalidPayload, "text is not UTF-8"}
	// ErrTooBig means that a message is larger than allowed.
	ErrTooBig = &Error{MessageTooBig, "message is too big"}
)
