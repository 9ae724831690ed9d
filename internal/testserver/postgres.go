package testserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// PostgresServer is a PostgreSQL of one test. Its methods are for the test's goroutine.
type PostgresServer struct {
	// DSN is the connection string of its superuser, the same after each Start.
	DSN string

	dir     string
	process process
}

const postgresPort = "5432" // the name of the socket, nothing else

// Postgres starts a PostgreSQL with a new, empty database on a Unix socket, and returns when it answers. It doesn't
// wait for disks, so that it keeps what it has acknowledged when it is killed, but not when its machine fails. The
// further arguments are for its command line.
func Postgres(t testing.TB, args ...string) *PostgresServer {
	t.Helper()
	const hint = "Debian: apt-get install postgresql"
	postgres := find(t, hint, postgresPrograms("postgres")...)
	initdb := find(t, hint, postgresPrograms("initdb")...)
	s := &PostgresServer{dir: postgresDir(t)}
	data := filepath.Join(s.dir, "data")
	s.DSN = fmt.Sprintf("host=%s port=%s user=postgres dbname=postgres", s.dir, postgresPort)

	init := exec.Command(initdb, "--pgdata", data, "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8",
		"--locale=C", "--no-instructions")
	init.Dir = s.dir
	asServerUser(init)
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("testserver: initdb: %v\n%s", err, out)
	}
	s.process = process{
		t:   t,
		dir: s.dir,
		command: func() *exec.Cmd {
			all := []string{"-D", data, "-k", s.dir, "-p", postgresPort, "-c", "listen_addresses=", "-c", "fsync=off",
				"-c", "max_connections=40", "-c", "shared_buffers=16MB"}
			cmd := exec.Command(postgres, append(all, args...)...)
			asServerUser(cmd)
			return cmd
		},
		answers: func(int) error { return askPostgres(filepath.Join(s.dir, ".s.PGSQL."+postgresPort)) },
	}
	s.process.begin(nil)
	t.Cleanup(s.end)
	return s
}

// postgresPrograms returns where a program of PostgreSQL may be. Debian keeps them out of PATH, the newest last.
func postgresPrograms(name string) []string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // the pattern is well-formed
	slices.Reverse(found)
	return append([]string{name}, found...)
}

// postgresDir returns a directory for a server that may run as another user, who can't enter the test's. Its name is
// short, as that of a socket has to be.
func postgresDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg") //nolint:usetesting // the test's directory is closed to other users
	if err == nil {
		err = giveToServerUser(dir)
	}
	if err != nil {
		t.Fatalf("testserver: %v", err)
	}
	t.Cleanup(func() {
		// Processes of a server that was killed may still be writing.
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			if err := os.RemoveAll(dir); err == nil {
				return
			} else if time.Now().After(end) {
				t.Errorf("testserver: %v", err)
				return
			}
		}
	})
	return dir
}

// end has the server end with all of its processes.
func (s *PostgresServer) end() {
	if s.process.run != nil {
		s.Resume()
		s.process.stop(syscall.SIGQUIT)
	}
}

// Kill ends the server with SIGKILL and returns when it has gone. It does nothing when the server isn't running.
func (s *PostgresServer) Kill() {
	s.process.t.Helper()
	if s.process.run == nil {
		return
	}
	all := s.processes()
	s.process.stop(os.Kill)
	for _, pid := range all[1:] {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill() // it may have seen that it is alone, and have ended
		}
	}
}

// Start starts the server again, at the same address and with the same data, and returns when it answers.
func (s *PostgresServer) Start() {
	s.process.t.Helper()
	// The memory that a killed server's processes share is in use until the last of them has ended.
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := s.process.start()
		if err == nil {
			return
		}
		if !errors.Is(err, errEnded) || time.Now().After(end) {
			s.process.t.Fatalf("testserver: %v\n%s", err, s.process.log())
		}
	}
}

// Pause halts the server's processes with SIGSTOP, on Linux those of its connections too: nothing answers.
func (s *PostgresServer) Pause() {
	s.process.t.Helper()
	s.signal(sigStop)
}

// Resume lets a paused server go on.
func (s *PostgresServer) Resume() {
	s.process.t.Helper()
	s.signal(sigCont)
}

// signal sends a signal to all processes, the first one first, which makes the others.
func (s *PostgresServer) signal(sig syscall.Signal) {
	s.process.t.Helper()
	s.process.signal(sig)
	for _, pid := range s.processes()[1:] {
		if p, err := os.FindProcess(pid); err == nil {
			if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
				s.process.t.Errorf("testserver: %v: %v", sig, err)
			}
		}
	}
}

// processes returns the ids of the server's processes: that of the first one and, where /proc tells them, of those that
// it has started.
func (s *PostgresServer) processes() []int {
	first := s.process.run.Process.Pid
	all := []int{first}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		var pid, parent int
		var state string
		after := bytes.LastIndexByte(text, ')') // the command's name may hold anything
		if after < 0 {
			continue
		}
		if _, err := fmt.Sscan(string(text[after+1:]), &state, &parent); err != nil || parent != first {
			continue
		}
		if _, err := fmt.Sscan(string(text), &pid); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// askPostgres returns nil if the server at a socket lets one in.
func askPostgres(socket string) error {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	hello := []byte("\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00")
	hello = append(binary.BigEndian.AppendUint32(nil, uint32(len(hello)+4)), hello...)
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	for {
		var head [5]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return err
		}
		body := make([]byte, min(binary.BigEndian.Uint32(head[1:]), 1<<16)-4)
		if _, err := io.ReadFull(conn, body); err != nil {
			return err
		}
		switch head[0] {
		case 'E':
			return fmt.Errorf("%q", body)
		case 'Z': // ready; say goodbye
			_, err := conn.Write([]byte("X\x00\x00\x00\x04"))
			return err
		}
	}
}
