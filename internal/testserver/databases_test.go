package testserver

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMemcached_KilledPausedAndStartedAgain(t *testing.T) {
	s := Memcached(t)
	version := func(addr string) (string, error) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(conn, "version\r\n")
		return bufio.NewReader(conn).ReadString('\n')
	}
	addr := s.Addr
	s.Kill()
	if _, err := version(addr); err == nil {
		t.Error("a killed server answers")
	}
	s.Kill() // nothing to do
	s.Start()
	s.Pause()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("a paused server's port is closed: %v", err)
	}
	defer conn.Close()
	s.Resume()
	if got, err := version(addr); !strings.HasPrefix(got, "VERSION") {
		t.Errorf("answer after Resume = %q, %v", got, err)
	}
}

func TestPostgres_KilledPausedAndStartedAgain(t *testing.T) {
	s := Postgres(t)
	socket := filepath.Join(s.dir, ".s.PGSQL."+postgresPort)
	first := s.processes()
	if _, err := os.Stat("/proc/self/stat"); err == nil && len(first) < 3 {
		t.Errorf("processes = %v, want several", first)
	}
	s.Kill()
	if err := askPostgres(socket); err == nil {
		t.Error("a killed server answers")
	}
	s.Kill() // nothing to do
	s.Start()
	if err := askPostgres(socket); err != nil {
		t.Errorf("after Start: %v", err)
	}
	s.Pause()
	stopped := func(pid int) bool {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(state), ") T ") || strings.Contains(string(state), ") Z ") // ended
	}
	for _, pid := range s.processes() {
		for end := time.Now().Add(patience); !stopped(pid); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("process %d of a paused server runs", pid)
			}
		}
	}
	s.Resume()
	if err := askPostgres(socket); err != nil {
		t.Errorf("after Resume: %v", err)
	}
}

// A server that is halted or dead when the test ends is cleaned up too.
func TestPostgres_GoneAfterTheTest(t *testing.T) {
	for name, end := range map[string]func(*PostgresServer){
		"running": func(*PostgresServer) {},
		"paused":  (*PostgresServer).Pause,
		"killed":  (*PostgresServer).Kill,
	} {
		t.Run(name, func(t *testing.T) {
			var dir string
			t.Run("server", func(t *testing.T) {
				s := Postgres(t)
				dir = s.dir
				end(s)
			})
			if _, err := os.Stat(dir); !os.IsNotExist(err) && !t.Skipped() {
				t.Errorf("the files are still there: %v", err)
			}
		})
	}
}

func TestRedisSentinel_KnowsTheMaster(t *testing.T) {
	master := Redis(t)
	sentinel := RedisSentinel(t, "main", master)
	_, port, _ := net.SplitHostPort(master.Addr)
	conn, err := net.Dial("tcp", sentinel)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, "SENTINEL get-master-addr-by-name main\r\n")
	r := bufio.NewReader(conn)
	var answer strings.Builder
	for range 5 {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		answer.WriteString(line)
	}
	if !strings.Contains(answer.String(), "127.0.0.1") || !strings.Contains(answer.String(), port) {
		t.Errorf("the master is %q, want %s", answer.String(), master.Addr)
	}
}
