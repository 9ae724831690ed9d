package testserver

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"testing"
	"time"
)

// RedisServer is a redis-server of one test. Its methods are for the test's goroutine.
type RedisServer struct {
	single
	// Dir holds its files.
	Dir string
}

// RedisDurable are the arguments for a server that keeps what it has acknowledged when it is killed.
func RedisDurable() []string { return []string{"--appendonly", "yes", "--appendfsync", "always"} }

// RedisLazy are the arguments for a server that loses up to a second of what it has acknowledged when its machine
// fails, the default of an append-only file.
func RedisLazy() []string { return []string{"--appendonly", "yes", "--appendfsync", "everysec"} }

// Redis starts a redis-server and returns when it answers. It keeps nothing on disk, unless args, further arguments of
// its command line, say otherwise.
func Redis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	path := find(t, "Debian: apt-get install redis-server", "redis-server")
	s := &RedisServer{Dir: t.TempDir()}
	s.process = process{
		t:   t,
		dir: s.Dir,
		command: func() *exec.Cmd {
			all := []string{"--bind", "127.0.0.1", "--port", s.port(), "--dir", s.Dir, "--save", "", "--appendonly", "no",
				"--daemonize", "no", "--logfile", ""}
			return exec.Command(path, append(all, args...)...)
		},
		answers: func(pid int) error { return pingRedis(s.Addr, pid) },
	}
	s.begin()
	return s
}

// pingRedis returns nil if the server at addr has loaded its data and is that process.
func pingRedis(addr string, pid int) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprint(conn, "PING\r\nINFO server\r\nQUIT\r\n"); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(answer, []byte("+PONG")) {
		return fmt.Errorf("PING: %.100q", answer)
	}
	if !bytes.Contains(answer, fmt.Appendf(nil, "\nprocess_id:%d\r", pid)) {
		return fmt.Errorf("another server listens on %s", addr)
	}
	return nil
}
