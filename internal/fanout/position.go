package fanout

import (
	"crypto/rand"
	"strconv"
	"strings"
)

// Position names a point in the order of everything a core published. Positions grow, are never reused
// within an epoch and need not be dense.
type Position uint64

// NewEpoch returns a random epoch: 8 characters of [a-z2-7].
func NewEpoch() string { return strings.ToLower(rand.Text()[:8]) }

// AppendID appends the wire form of a position, "epoch-position".
func AppendID(b []byte, epoch string, p Position) []byte {
	b = append(b, epoch...)
	b = append(b, '-')
	return strconv.AppendUint(b, uint64(p), 10)
}

// ParseID splits an id as AppendID writes it; anything else, like a leading zero or sign, is not ok.
func ParseID(id string) (epoch string, p Position, ok bool) {
	i := strings.LastIndexByte(id, '-')
	if i <= 0 || i == len(id)-1 {
		return "", 0, false
	}
	digits := id[i+1:]
	if digits[0] < '0' || digits[0] > '9' || (digits[0] == '0' && len(digits) > 1) {
		return "", 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return "", 0, false
	}
	return id[:i], Position(n), true
}
