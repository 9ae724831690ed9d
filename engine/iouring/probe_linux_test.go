package iouring

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestProbe_FailsWhereTheRingCanNotBeEntered(t *testing.T) {
	s := open(t)
	r, whole := s.ring, s.ring.fd
	defer func() { r.fd = whole }()
	var err error
	if r.fd, err = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(r.fd)
	if err := s.probe(); err == nil {
		t.Error("a ring that can't be entered counts as working")
	}
}
