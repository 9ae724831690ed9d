//go:build !plan9

package celeris

import (
	"errors"
	"syscall"
)

// exhausted reports whether err means that the process or the system has no descriptor, or no memory, for one more
// connection. That passes, unlike other errors of a listener.
func exhausted(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
