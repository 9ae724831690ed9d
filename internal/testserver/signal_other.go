//go:build !unix

package testserver

import "syscall"

// No such signals: sending one fails the test.
const (
	sigStop = syscall.Signal(19)
	sigCont = syscall.Signal(18)
)
