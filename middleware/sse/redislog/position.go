package redislog

import (
	"fmt"
	"strconv"
	"strings"
)

// seqBits are the lowest bits of a position, the number within a millisecond. The scripts know them too.
const seqBits = 20

// parsePosition returns the position of a Redis Stream ID, "<milliseconds>-<number>".
func parsePosition(id string) (uint64, bool) {
	ms, seq, ok := strings.Cut(id, "-")
	if !ok {
		return 0, false
	}
	m, err := strconv.ParseUint(ms, 10, 64-seqBits)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(seq, 10, seqBits)
	if err != nil {
		return 0, false
	}
	return m<<seqBits | n, true
}

// streamID is the Redis Stream ID of a position.
func streamID(position uint64) string {
	b := make([]byte, 0, 24)
	b = strconv.AppendUint(b, position>>seqBits, 10)
	b = append(b, '-')
	return string(strconv.AppendUint(b, position&(1<<seqBits-1), 10))
}

// parseState reads the epoch and head that scripts answer with.
func parseState(reply []string) (epoch string, head uint64, err error) {
	if len(reply) < 2 {
		return "", 0, fmt.Errorf("unexpected answer %.200q", reply)
	}
	head, ok := parsePosition(reply[1])
	if !ok {
		return "", 0, fmt.Errorf("unexpected head %.200q", reply[1])
	}
	return reply[0], head, nil
}
