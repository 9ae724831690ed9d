package loadgen

import (
	"fmt"
	"syscall"
)

// FileLimit raises the soft limit of open files to the hard one, and returns it.
func FileLimit() (int, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("loadgen: limit of open files: %w", err)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("loadgen: raise the limit of open files to %d: %w", l.Max, err)
	}
	return int(min(l.Max, 1<<30)), nil
}
