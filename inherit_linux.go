package celeris

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

const (
	// firstInherited is the first descriptor that is passed (SD_LISTEN_FDS_START).
	firstInherited = 3
	// maxInherited bounds a count that makes no sense.
	maxInherited = 1 << 16
)

// inheriting guards the environment variables, which are taken once.
var inheriting sync.Mutex

func inherited() (listeners []InheritedListener, err error) {
	inheriting.Lock()
	defer inheriting.Unlock()
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	count, names := os.Getenv("LISTEN_FDS"), strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, name := range []string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name) // fails for malformed names only
	}
	if count == "" {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxInherited {
		return nil, fmt.Errorf("celeris: LISTEN_FDS is %q: it must be a number of descriptors", count)
	}
	for fd := firstInherited; fd < firstInherited+n; fd++ {
		syscall.CloseOnExec(fd) // all, whatever becomes of them
	}
	for i := range n {
		var name string
		if i < len(names) {
			name = names[i]
		}
		l, err := inherit(firstInherited+i, name)
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			for fd := firstInherited + i + 1; fd < firstInherited+n; fd++ {
				_ = syscall.Close(fd) // it was passed, or there is nothing to close
			}
			return nil, fmt.Errorf("celeris: inherited descriptor %d (%q): %w", firstInherited+i, name, err)
		}
		listeners = append(listeners, InheritedListener{l, name})
	}
	return listeners, nil
}

// inherit makes a listener of a descriptor, which it takes.
func inherit(fd int, name string) (net.Listener, error) {
	switch on, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); {
	case err != nil:
		return nil, os.NewSyscallError("getsockopt", err)
	case on == 0:
		return nil, errors.New("it is not a listening stream socket; sockets that are need Accept=no")
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() // the listener has a descriptor of its own
	return net.FileListener(f)
}
