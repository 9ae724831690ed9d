package iouring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/goceleris/celeris/engine/internal/native"
	"github.com/goceleris/celeris/engine/internal/shard"
)

// entries is how many sends go out at a time.
const entries = 64

const sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

// sender sends in batches. It is for one goroutine at a time.
type sender struct {
	ring    *ring
	log     *slog.Logger
	headers [entries]unix.Msghdr
	vectors [entries][]unix.Iovec
	plain   native.Sender
	broken  bool // the ring is used no more
}

// newSender returns a sender that has been seen to work.
func newSender(log *slog.Logger) (*sender, error) {
	r, err := newRing(entries)
	if err != nil {
		return nil, err
	}
	s := &sender{ring: r, log: log}
	if err := s.probe(); err != nil {
		r.close()
		return nil, err
	}
	return s, nil
}

// probe sends between two sockets, in one piece and in two: a kernel may have io_uring and lack, or forbid, some of it.
func (s *sender) probe() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("iouring: socketpair: %w", err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	piece := []byte("probe")
	for _, bufs := range [][][]byte{{piece}, {piece, piece}} {
		ops := []shard.Op{{Bufs: bufs}}
		s.batch(ops, func(shard.Conn) int { return pair[0] })
		if ops[0].Err != nil || s.broken {
			return fmt.Errorf("iouring: a send doesn't work: %w", errors.Join(ops[0].Err, errors.ErrUnsupported))
		}
	}
	return nil
}

func (s *sender) close() { s.ring.close() }

// send implements the half of [shard.Backend] that sends.
func (s *sender) send(ops []shard.Op) {
	for len(ops) > 0 {
		n := min(entries, len(ops))
		if s.broken || n < 2 { // for one of them a plain call is cheaper
			s.plain.Send(ops[:n])
		} else {
			done := s.batch(ops[:n], func(c shard.Conn) int { return c.(*native.Conn).FD() })
			s.plain.Send(ops[done:n])
		}
		ops = ops[n:]
	}
}

// batch makes entries sends at most. It returns how many of them, from the first on, were made: fewer than there are if
// the ring has failed.
func (s *sender) batch(ops []shard.Op, fd func(shard.Conn) int) (done int) {
	for i := range ops {
		op := &ops[i]
		e := sqe{opcode: opSend, fd: int32(fd(op.Conn)), msgFlag: sendFlags, user: uint64(i)}
		if len(op.Bufs) == 1 {
			e.addr, e.len = address(unsafe.Pointer(unsafe.SliceData(op.Bufs[0]))), uint32(len(op.Bufs[0]))
		} else {
			s.vectors[i] = native.AppendVectors(s.vectors[i][:0], op.Bufs)
			h := &s.headers[i]
			h.Iov = unsafe.SliceData(s.vectors[i])
			h.SetIovlen(len(s.vectors[i]))
			e.opcode, e.addr, e.len = opSendmsg, address(unsafe.Pointer(h)), 1
		}
		s.ring.push(e)
	}
	done = s.wait(ops)
	for i := range ops {
		clear(s.vectors[i]) // what waits here pins no log
	}
	runtime.KeepAlive(ops)
	return done
}

func address(p unsafe.Pointer) uint64 { return uint64(uintptr(p)) }

// wait has a batch carried out, and returns how much of it was.
func (s *sender) wait(ops []shard.Op) (done int) {
	submitted := 0
	result := func(user uint64, res int32) {
		op := &ops[user]
		n, errno := int(res), syscall.Errno(0)
		if res < 0 {
			n, errno = 0, syscall.Errno(-res)
		}
		op.N, op.Err = native.Result(op.Bufs, n, errno)
	}
	for done < len(ops) {
		n, errno := s.ring.enter(len(ops)-submitted, len(ops)-done)
		switch errno {
		case 0:
			submitted += n
		case unix.EINTR, unix.EAGAIN, unix.EBUSY: // completions are in the way, or memory is short for the moment
			runtime.Gosched()
		default:
			s.fail(errno)
			if done += s.ring.reap(result); submitted == done {
				return done
			}
			// What is under way refers to memory of others: it has to come back.
		}
		done += s.ring.reap(result)
	}
	return done
}

// fail gives the ring up.
func (s *sender) fail(errno syscall.Errno) {
	if s.broken {
		return
	}
	s.broken = true
	s.log.LogAttrs(context.Background(), slog.LevelError, "io_uring failed, going on without",
		slog.Any("error", errno))
}
