package testserver

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// MemcachedServer is a memcached of one test. Its methods are for the test's goroutine.
type MemcachedServer struct{ single }

// Memcached starts a memcached and returns when it answers. The further arguments are for its command line.
func Memcached(t testing.TB, args ...string) *MemcachedServer {
	t.Helper()
	path := find(t, "Debian: apt-get install memcached", "memcached", "/usr/bin/memcached")
	s := &MemcachedServer{}
	s.process = process{
		t:   t,
		dir: t.TempDir(),
		command: func() *exec.Cmd {
			all := []string{"-l", "127.0.0.1", "-p", s.port(), "-U", "0", "-t", "2"}
			if os.Geteuid() == 0 {
				all = append(all, "-u", "root") // a process that changes its user would outlive its parent
			}
			return exec.Command(path, append(all, args...)...)
		},
		answers: func(pid int) error { return askMemcached(s.Addr, pid) },
	}
	s.begin()
	return s
}

// askMemcached returns nil if the server at addr is that process.
func askMemcached(addr string, pid int) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprint(conn, "stats\r\nquit\r\n"); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(answer, fmt.Appendf(nil, "STAT pid %d\r\n", pid)) {
		return fmt.Errorf("another server listens on %s: %.40q", addr, answer)
	}
	return nil
}
