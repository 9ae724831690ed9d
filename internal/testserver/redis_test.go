package testserver

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goceleris/celeris/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// ask sends one line to a Redis and returns the first line of the answer.
func ask(t *testing.T, addr, command string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "%s\r\n", command)
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if strings.HasPrefix(line, "$") && err == nil && !strings.HasPrefix(line, "$-") {
		line, err = r.ReadString('\n')
	}
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(line)
}

func TestRedis_KilledAndStartedAgain(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"without persistence", nil, "$-1"},
		{"durable", RedisDurable(), "kept"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Redis(t, tt.args...)
			addr := s.Addr
			if got := ask(t, addr, "SET k kept"); got != "+OK" {
				t.Fatalf("SET = %q", got)
			}
			s.Kill()
			if conn, err := net.Dial("tcp", addr); err == nil {
				conn.Close()
				t.Error("a killed server still listens")
			}
			s.Kill() // nothing to do
			s.Start()
			if s.Addr != addr {
				t.Errorf("address after Start = %s, want %s", s.Addr, addr)
			}
			if got := ask(t, addr, "GET k"); got != tt.want {
				t.Errorf("GET after kill and start = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRedis_PausedAnswersLater(t *testing.T) {
	s := Redis(t)
	s.Pause()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatalf("a paused server's port is closed: %v", err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "PING\r\n")
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.process.run.Process.Pid))
		if err != nil || strings.Contains(string(state), ") T ") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("state of a paused process: %s", state)
		}
	}
	s.Resume()
	conn.SetDeadline(time.Now().Add(patience))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "+PONG\r\n" {
		t.Errorf("answer after Resume = %q, %v", line, err)
	}
}

func TestRedis_TwoAtATime(t *testing.T) {
	a, b := Redis(t), Redis(t)
	if a.Addr == b.Addr || a.Dir == b.Dir {
		t.Fatalf("two servers share %s or %s", a.Addr, a.Dir)
	}
	ask(t, a.Addr, "SET k a")
	if got := ask(t, b.Addr, "GET k"); got != "$-1" {
		t.Errorf("what one server was told, the other answers: %q", got)
	}
}

// recorder is a testing.TB that notes how the test ended.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper()          {}
func (r *recorder) Skip(args ...any) { r.skipped = fmt.Sprint(args...); runtime.Goexit() }
func (r *recorder) Fatal(args ...any) {
	r.failed = fmt.Sprint(args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }

// in runs f where it may end the goroutine.
func in(f func()) {
	var wg sync.WaitGroup
	wg.Go(f)
	wg.Wait()
}

func TestFind_MissingProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CI", "")
	r := &recorder{TB: t}
	in(func() { Redis(r) })
	if !strings.Contains(r.skipped, "apt-get install redis-server") || r.failed != "" {
		t.Errorf("skipped with %q, failed with %q: want a skip that says what to install", r.skipped, r.failed)
	}
	t.Setenv("CI", "true")
	r = &recorder{TB: t}
	in(func() { Redis(r) })
	if !strings.Contains(r.failed, "apt-get install redis-server") || r.skipped != "" {
		t.Errorf("with CI=true: skipped with %q, failed with %q: want a failure", r.skipped, r.failed)
	}
}

func TestProcess_ReportsWhatTheServerSaid(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("no shell")
	}
	path := filepath.Join(t.TempDir(), "redis-server")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho no memory today\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(path))
	r := &recorder{TB: t}
	in(func() { Redis(r) })
	if !strings.Contains(r.failed, "no memory today") || !strings.Contains(r.failed, "exit status 3") {
		t.Errorf("failed with %q, want what the server said and its status", r.failed)
	}
}
