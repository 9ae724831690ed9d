package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goceleris/celeris/internal/leak"
)

// runAsCommand makes the test binary behave as the command, so that tests can signal a real process.
const runAsCommand = "CELERIS_TEST_RUN_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(runAsCommand) != "" {
		main()
	}
	leak.Main(m)
}

func TestRun_ExplainsItself(t *testing.T) {
	for _, test := range []struct {
		name           string
		args           []string
		status         int
		stdout, stderr string // what they contain; nothing at all if empty
	}{
		{"no command", nil, exitUsage, "", "celeris demo"},
		{"help", []string{"help"}, exitOK, "celeris demo", ""},
		{"-h", []string{"-h"}, exitOK, "celeris demo", ""},
		{"unknown command", []string{"dmeo"}, exitUsage, "", `no command "dmeo"`},
		{"help of the demo", []string{"demo", "-h"}, exitOK, "-addr host:port", ""},
		{"unknown flag", []string{"demo", "-port", "1"}, exitUsage, "", "-addr host:port"},
		{"an argument too many", []string{"demo", "8080"}, exitUsage, "", `unexpected argument "8080"`},
		{"no address", []string{"demo", "-addr", "8080"}, exitFailure, "", "is not host:port"},
		{"no such port", []string{"demo", "-addr", "127.0.0.1:99999"}, exitFailure, "", "can't listen on 127.0.0.1:99999"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if got := run(t.Context(), test.args, &stdout, &stderr); got != test.status {
				t.Errorf("exit status = %d, want %d", got, test.status)
			}
			contains(t, "stdout", stdout.String(), test.stdout)
			contains(t, "stderr", stderr.String(), test.stderr)
		})
	}
}

func contains(t *testing.T, name, got, want string) {
	t.Helper()
	if (want == "" && got != "") || !strings.Contains(got, want) {
		t.Errorf("%s = %q, want something with %q in it", name, got, want)
	}
}

func TestDemo_SaysThatThePortIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	_, port, _ := net.SplitHostPort(addr)

	var stdout, stderr bytes.Buffer
	if got := run(t.Context(), []string{"demo", "-addr", addr}, &stdout, &stderr); got != exitFailure {
		t.Errorf("exit status = %d, want %d", got, exitFailure)
	}
	contains(t, "stdout", stdout.String(), "")
	contains(t, "stderr", stderr.String(), "port "+port+" is taken")
	contains(t, "stderr", stderr.String(), "celeris demo -addr 127.0.0.1:0")
}

func TestListenAdvice_KnowsTheErrorOfEverySystem(t *testing.T) {
	for _, code := range []syscall.Errno{syscall.EADDRINUSE, wsaAddrInUse} {
		err := &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", code)}
		contains(t, "advice", listenAdvice(":8080", err), "port 8080 is taken")
	}
	contains(t, "advice", listenAdvice("10.0.0.1:80", errors.New("no such address")), "no such address")
}

func TestAnnounce_WarnsBeyondLoopback(t *testing.T) {
	for _, test := range []struct {
		at   net.TCPAddr
		url  string
		warn bool
	}{
		{net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}, "http://127.0.0.1:8080", false},
		{net.TCPAddr{IP: net.IPv6loopback, Port: 8080}, "http://[::1]:8080", false},
		{net.TCPAddr{IP: net.IPv6unspecified, Port: 80}, "http://localhost:80", true},
		{net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 80}, "http://10.1.2.3:80", true},
	} {
		var b bytes.Buffer
		announce(&b, "the given address", &test.at)
		contains(t, "announcement", b.String(), test.url+"\n")
		contains(t, "announcement", b.String(), "curl -N "+test.url+"/events")
		if got := strings.Contains(b.String(), "whoever reaches"); got != test.warn {
			t.Errorf("%v: warned = %v, want %v", test.at, got, test.warn)
		}
	}
}

// A context that ends is as good as a signal: it is what a test of somebody else would use.
func TestRun_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var stdout, stderr bytes.Buffer
	if got := run(ctx, []string{"demo", "-addr", "127.0.0.1:0"}, &stdout, &stderr); got != exitOK {
		t.Errorf("exit status = %d, want %d; stderr: %s", got, exitOK, stderr.String())
	}
	contains(t, "stdout", stdout.String(), "Ended.")
}
