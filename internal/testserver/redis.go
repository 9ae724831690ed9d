package testserver

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// RedisServer is a redis-server of one test. Its methods are for the test's goroutine.
type RedisServer struct {
	// Addr is the host and port where it listens, the same after each Start.
	Addr string
	// Dir holds its files.
	Dir string

	process process
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
	port := ""
	s.process = process{
		t:   t,
		dir: s.Dir,
		command: func() *exec.Cmd {
			all := []string{"--bind", "127.0.0.1", "--port", port, "--dir", s.Dir, "--save", "", "--appendonly", "no",
				"--daemonize", "no", "--logfile", ""}
			return exec.Command(path, append(all, args...)...)
		},
		answers: func(pid int) error { return pingRedis(s.Addr, pid) },
	}
	s.process.begin(func() {
		port = strconv.Itoa(freePort(t))
		s.Addr = net.JoinHostPort("127.0.0.1", port)
	})
	return s
}

// Kill ends the server with SIGKILL and returns when it has gone. It does nothing when the server isn't running.
func (s *RedisServer) Kill() {
	s.process.t.Helper()
	s.process.stop(os.Kill)
}

// Start starts the server again, at the same address and with the same files, and returns when it answers.
func (s *RedisServer) Start() {
	s.process.t.Helper()
	if err := s.process.start(); err != nil {
		s.process.t.Fatalf("testserver: %v\n%s", err, s.process.log())
	}
}

// Pause halts the server with SIGSTOP: connections to it are accepted by the system, and nothing answers.
func (s *RedisServer) Pause() {
	s.process.t.Helper()
	s.process.signal(sigStop)
}

// Resume lets a paused server go on.
func (s *RedisServer) Resume() {
	s.process.t.Helper()
	s.process.signal(sigCont)
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
