package wsproto

import (
	"encoding/binary"
	"unicode/utf8"
)

// Close codes of RFC 6455 7.4.1 and of the registry of RFC 6455 11.7.
const (
	NormalClosure      = 1000
	GoingAway          = 1001
	ProtocolError      = 1002
	UnsupportedData    = 1003
	NoStatus           = 1005 // never on the wire: a close frame without a code
	Abnormal           = 1006 // never on the wire: no close frame
	InvalidPayload     = 1007
	PolicyViolation    = 1008
	MessageTooBig      = 1009
	MandatoryExtension = 1010
	InternalError      = 1011
	ServiceRestart     = 1012
	TryAgainLater      = 1013
	BadGateway         = 1014
)

// MaxReason is the most bytes that the reason in a close frame has.
const MaxReason = MaxControl - 2

// ValidCode reports whether a code may be in a close frame, in either direction.
func ValidCode(code int) bool {
	switch {
	case code >= NormalClosure && code <= UnsupportedData, code >= InvalidPayload && code <= BadGateway:
		return true
	}
	return code >= 3000 && code <= 4999
}

// ParseClose takes the payload of a close frame apart; one without a code has [NoStatus].
func ParseClose(payload []byte) (code int, reason string, err error) {
	switch len(payload) {
	case 0:
		return NoStatus, "", nil
	case 1:
		return 0, "", errCloseSize
	}
	code = int(binary.BigEndian.Uint16(payload))
	if !ValidCode(code) {
		return 0, "", errCloseCode
	}
	if !utf8.Valid(payload[2:]) {
		return 0, "", errCloseReason
	}
	return code, string(payload[2:]), nil
}

// AppendClosePayload appends the payload of a close frame: none for [NoStatus]. A reason that does not fit is cut at the
// end of a character, and what is not UTF-8 in it replaced.
func AppendClosePayload(b []byte, code int, reason string) []byte {
	if code == NoStatus {
		return b
	}
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	room := MaxReason
	for _, r := range reason {
		n := utf8.RuneLen(r)
		if room -= n; room < 0 {
			break
		}
		b = utf8.AppendRune(b, r)
	}
	return b
}
