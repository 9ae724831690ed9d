package testserver

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RedisSentinel starts a Redis Sentinel that watches master under this name, and returns its address when it answers.
// Alone, it takes a master for down that hasn't answered for a second, and elects another.
func RedisSentinel(t testing.TB, name string, master *RedisServer) (addr string) {
	t.Helper()
	path := find(t, "Debian: apt-get install redis-server", "redis-server")
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "sentinel.conf")
	p := &process{
		t:       t,
		dir:     dir,
		command: func() *exec.Cmd { return exec.Command(path, config, "--sentinel") },
		answers: func(pid int) error { return askSentinel(addr, pid) },
	}
	p.begin(func() {
		own := strconv.Itoa(freePort(t))
		addr = net.JoinHostPort("127.0.0.1", own)
		text := fmt.Appendf(nil, "bind 127.0.0.1\nport %s\ndir %s\nsentinel monitor %s %s %s 1\n"+
			"sentinel down-after-milliseconds %[3]s 1000\nsentinel failover-timeout %[3]s 5000\n", own, dir, name, host, port)
		if err := os.WriteFile(config, text, 0o600); err != nil { // which Sentinel writes to
			t.Fatal(err)
		}
	})
	return addr
}

// askSentinel returns nil if the Sentinel at addr is that process.
func askSentinel(addr string, pid int) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprint(conn, "INFO server\r\n"); err != nil {
		return err
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "process_id:"); ok {
			if id != strconv.Itoa(pid) {
				return fmt.Errorf("another server listens on %s", addr)
			}
			return nil
		}
	}
	return fmt.Errorf("no Sentinel listens on %s", addr)
}
