package iouring

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/io_uring.h.
const (
	setupCQSize    = 1 << 3
	setupSubmitAll = 1 << 7 // one that fails doesn't hold up those behind it; Linux 5.18
	enterGetEvents = 1 << 0

	opSendmsg = 9
	opSend    = 26

	offsetSQ   = 0
	offsetCQ   = 0x8000000
	offsetSQEs = 0x10000000
)

// sqe is struct io_uring_sqe as far as sends need it.
type sqe struct {
	opcode  uint8
	flags   uint8
	ioprio  uint16
	fd      int32
	off     uint64
	addr    uint64
	len     uint32
	msgFlag uint32
	user    uint64
	_       [3]uint64
}

// cqe is struct io_uring_cqe.
type cqe struct {
	user  uint64
	res   int32
	flags uint32
}

// params is struct io_uring_params.
type params struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
	_                                                    [3]uint32
	sq                                                   struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// ring is one io_uring. It is for one goroutine at a time, on whatever thread.
type ring struct {
	fd             int
	maps           [3][]byte
	sqTail         *uint32
	sqMask         uint32
	sqes           []sqe
	cqHead, cqTail *uint32
	cqMask         uint32
	cqes           []cqe
	tail           uint32 // behind what was pushed
}

// newRing returns a ring for so many operations at a time.
func newRing(entries uint32) (_ *ring, err error) {
	p := params{flags: setupSubmitAll | setupCQSize, cqEntries: 2 * entries}
	fd, _, errno := syscall.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("iouring: io_uring_setup: %w", errno)
	}
	r := &ring{fd: int(fd)}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	for i, m := range []struct {
		offset int64
		size   uint32
	}{
		{offsetSQ, p.sq.array + 4*p.sqEntries},
		{offsetCQ, p.cq.cqes + p.cqEntries*uint32(unsafe.Sizeof(cqe{}))},
		{offsetSQEs, p.sqEntries * uint32(unsafe.Sizeof(sqe{}))},
	} {
		r.maps[i], err = unix.Mmap(r.fd, m.offset, int(m.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			return nil, fmt.Errorf("iouring: mmap: %w", err)
		}
	}
	sq, cq := r.maps[0], r.maps[1]
	r.sqTail, r.sqMask = field(sq, p.sq.tail), *field(sq, p.sq.mask)
	for i := range p.sqEntries {
		*field(sq, p.sq.array+4*i) = i
	}
	r.sqes = unsafe.Slice((*sqe)(unsafe.Pointer(&r.maps[2][0])), p.sqEntries)
	r.cqHead, r.cqTail, r.cqMask = field(cq, p.cq.head), field(cq, p.cq.tail), *field(cq, p.cq.mask)
	r.cqes = unsafe.Slice((*cqe)(unsafe.Pointer(&cq[p.cq.cqes])), p.cqEntries)
	r.tail = *r.sqTail
	return r, nil
}

func field(b []byte, offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&b[offset])) }

func (r *ring) close() {
	for _, m := range r.maps {
		if m != nil {
			_ = unix.Munmap(m)
		}
	}
	_ = unix.Close(r.fd)
}

// push adds an operation. There is room for as many as newRing was told.
func (r *ring) push(e sqe) {
	r.sqes[r.tail&r.sqMask] = e
	r.tail++
}

// enter has what was pushed carried out and waits for so many completions. It returns how many operations were taken.
// The scheduler is told: a batch is in the kernel for up to some milliseconds.
func (r *ring) enter(submit, wait int) (int, syscall.Errno) {
	atomic.StoreUint32(r.sqTail, r.tail)
	n, _, errno := syscall.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(submit), uintptr(wait), enterGetEvents, 0, 0)
	return int(n), errno
}

// reap calls f for each completion that is there.
func (r *ring) reap(f func(user uint64, res int32)) (n int) {
	head, tail := *r.cqHead, atomic.LoadUint32(r.cqTail)
	for ; head != tail; head++ {
		c := &r.cqes[head&r.cqMask]
		f(c.user, c.res)
		n++
	}
	atomic.StoreUint32(r.cqHead, head)
	return n
}
