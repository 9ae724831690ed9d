package iouring

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/goceleris/celeris/internal/park"
	"golang.org/x/sys/unix"
)

func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// mappings counts what rings have mapped.
func mappings(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "io_uring")
}

func TestRing_LeavesNothingWhenItIsClosed(t *testing.T) {
	open(t)
	fds, maps := descriptors(t), mappings(t)
	if maps == 0 {
		t.Fatal("the mappings of an open ring don't show")
	}
	for range 50 {
		s, err := newSender(slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s.close()
	}
	if n := descriptors(t); n != fds {
		t.Errorf("%d descriptors, %d before", n, fds)
	}
	if n := mappings(t); n != maps {
		t.Errorf("%d mappings, %d before", n, maps)
	}
}

// A system that has no io_uring to give says so, and whoever asked holds nothing. Here it has no descriptor to give.
func TestNew_TellsWhyThereIsNone(t *testing.T) {
	open(t)
	fds, maps := descriptors(t), mappings(t)
	restore := full(t)
	_, err := newSender(slog.New(slog.DiscardHandler))
	_, engineErr := New(park.Options{})
	restore()
	if !errors.Is(err, unix.EMFILE) {
		t.Errorf("newSender: %v, want %v", err, unix.EMFILE)
	}
	if !errors.Is(engineErr, unix.EMFILE) {
		t.Errorf("New: %v, want %v", engineErr, unix.EMFILE)
	}
	if n := descriptors(t); n != fds {
		t.Errorf("%d descriptors, %d before", n, fds)
	}
	if n := mappings(t); n != maps {
		t.Errorf("%d mappings, %d before", n, maps)
	}
}

// full makes this process one that can open no more. restore has to be called before anything else.
func full(t testing.TB) (restore func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
	}
}
