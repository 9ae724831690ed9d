//go:build !linux

package loadgen

import (
	"errors"
	"fmt"
	"io"
)

// Serve needs Linux.
func Serve(io.Reader, io.Writer) error {
	return fmt.Errorf("loadgen: a client of many streams: %w", errors.ErrUnsupported)
}

// FileLimit needs Linux.
func FileLimit() (int, error) {
	return 0, fmt.Errorf("loadgen: limit of open files: %w", errors.ErrUnsupported)
}
