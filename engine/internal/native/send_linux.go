package native

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/goceleris/celeris/engine/internal/shard"
)

// maxVectors is how many pieces one send takes (UIO_MAXIOV).
const maxVectors = 1024

// Sender sends with one system call for each connection. It is for one goroutine at a time.
type Sender struct {
	vectors []unix.Iovec
	header  unix.Msghdr
}

// Send offers each operation's bytes to its connection and does not wait.
func (s *Sender) Send(ops []shard.Op) {
	for i := range ops {
		op := &ops[i]
		fd := op.Conn.(*Conn).fd
		for {
			var n uintptr
			var errno syscall.Errno
			if len(op.Bufs) == 1 {
				n, errno = sendto(fd, op.Bufs[0])
			} else {
				n, errno = s.sendmsg(fd, op.Bufs)
			}
			if errno != unix.EINTR {
				op.N, op.Err = Result(op.Bufs, int(n), errno)
				break
			}
		}
	}
}

// Result is what a send comes to that took n bytes or failed. Less than there was means that the connection is full: the
// kernel has noted that somebody waits for room.
func Result(bufs [][]byte, n int, errno syscall.Errno) (int, error) {
	switch {
	case errno == unix.EAGAIN, errno == unix.ENOBUFS:
		return 0, shard.ErrRefused
	case errno != 0:
		return 0, errno
	}
	offered := 0
	for i, b := range bufs {
		if i == maxVectors {
			return n, nil // the others were not offered
		}
		if offered += len(b); offered > n {
			return n, shard.ErrRefused
		}
	}
	return n, nil
}

const sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

// A raw call doesn't tell the scheduler: these take some microseconds and never wait, and the shard yields by itself.

func sendto(fd int, p []byte) (uintptr, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), sendFlags, 0, 0)
	return n, errno
}

func (s *Sender) sendmsg(fd int, bufs [][]byte) (uintptr, syscall.Errno) {
	s.vectors = AppendVectors(s.vectors[:0], bufs)
	s.header.Iov = unsafe.SliceData(s.vectors)
	s.header.SetIovlen(len(s.vectors))
	n, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.header)), sendFlags)
	clear(s.vectors) // what waits here pins no log
	return n, errno
}

// AppendVectors appends what sendmsg takes of bufs.
func AppendVectors(v []unix.Iovec, bufs [][]byte) []unix.Iovec {
	for _, b := range bufs[:min(len(bufs), maxVectors)] {
		e := unix.Iovec{Base: unsafe.SliceData(b)}
		e.SetLen(len(b))
		v = append(v, e)
	}
	return v
}
