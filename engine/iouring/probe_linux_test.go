package iouring

import (
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"
)

func TestProbe_FailsWhereTheRingCanNotBeEntered(t *testing.T) {
	r, err := newRing(entries)
	if err != nil {
		t.Skip(err)
	}
	whole := r.fd
	defer func() {
		r.fd = whole
		r.close()
	}()
	if r.fd, err = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(r.fd)
	s := &sender{ring: r, log: slog.New(slog.DiscardHandler)}
	if err := s.probe(); err == nil {
		t.Error("a ring that can't be entered counts as working")
	}
}
