//go:build linux

package celeris_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/goceleris/celeris"
)

// passing returns a command that runs a test of this binary with files as its descriptors from 3 on, and with what
// the environment of socket activation says of them. $$ is the process.
func passing(t *testing.T, test string, files []*os.File, env ...string) *exec.Cmd {
	t.Helper()
	script := strings.Join(env, " ") + ` exec "$0" "$@"`
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script, os.Args[0], "-test.run=^"+test+"$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), "CELERIS_TEST_CHILD="+test, "GORACE=atexit_sleep_ms=0")
	cmd.ExtraFiles = files
	return cmd
}

// socket returns the descriptor of a listener, which ends with the test.
func socket(t *testing.T, network, addr string) (*os.File, string) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		l.Close()
	})
	return f, l.Addr().String()
}

// TestInherit_Process is not a test but the process that TestListeners starts.
func TestInherit_Process(t *testing.T) {
	if os.Getenv("CELERIS_TEST_CHILD") != t.Name() {
		t.Skip("runs in a process of its own only")
	}
	listeners, err := celeris.Listeners()
	for _, l := range listeners {
		fmt.Printf("listener %q %s %T\n", l.Name, l.Addr(), l.Listener)
		l.Close()
	}
	again, err2 := celeris.Listeners()
	var left []string
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "LISTEN_") {
			left = append(left, strings.SplitN(v, "=", 2)[0])
		}
	}
	var open []string // of 3 and 4, those that a process started from here would have
	for fd := uintptr(3); fd < 5; fd++ {
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_GETFD, 0)
		if errno == 0 && flags&syscall.FD_CLOEXEC == 0 {
			open = append(open, fmt.Sprint(fd))
		}
	}
	fmt.Printf("error %v; then %d, %v; left %v; open %v\n", err, len(again), err2, left, open)
}

func TestListeners(t *testing.T) {
	tcp, tcpAddr := socket(t, "tcp", "127.0.0.1:0")
	path := filepath.Join(t.TempDir(), "s")
	unix, _ := socket(t, "unix", path)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	datagrams, err := udp.File()
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	const none = "error <nil>; then 0, <nil>; left [%s]; open [%s]"
	broken := func(fd int, name string) string {
		return fmt.Sprintf("error celeris: inherited descriptor %d (%q): ", fd, name)
	}
	for _, tt := range []struct {
		name  string
		files []*os.File
		env   string
		want  []string // prefixes of lines
	}{
		{"two with names", []*os.File{tcp, unix}, "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:admin", []string{
			`listener "web" ` + tcpAddr + " *net.TCPListener", `listener "admin" ` + path + " *net.UnixListener",
			fmt.Sprintf(none, "", ""),
		}},
		{"without names", []*os.File{tcp, unix}, "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_PIDFDID=7", []string{
			`listener "" ` + tcpAddr + " *net.TCPListener", fmt.Sprintf(none, "", "4"),
		}},
		{"for another process", []*os.File{tcp}, "LISTEN_PID=1 LISTEN_FDS=1", []string{fmt.Sprintf(none, "LISTEN_PID LISTEN_FDS", "3")}},
		{"for nobody", []*os.File{tcp}, "LISTEN_FDS=1", []string{fmt.Sprintf(none, "LISTEN_FDS", "3")}},
		{"none", nil, "LISTEN_PID=$$ LISTEN_FDS=0", []string{fmt.Sprintf(none, "", "")}},
		{"no count", nil, "LISTEN_PID=$$", []string{fmt.Sprintf(none, "", "")}},
		{"malformed count", nil, "LISTEN_PID=$$ LISTEN_FDS=x", []string{`error celeris: LISTEN_FDS is "x"`}},
		{"negative count", nil, "LISTEN_PID=$$ LISTEN_FDS=-1", []string{`error celeris: LISTEN_FDS is "-1"`}},
		{"endless count", nil, "LISTEN_PID=$$ LISTEN_FDS=1000000", []string{`error celeris: LISTEN_FDS is "1000000"`}},
		{"no socket", []*os.File{tcp, null}, "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b", []string{broken(4, "b") + "getsockopt"}},
		{"datagrams", []*os.File{datagrams}, "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=udp", []string{broken(3, "udp") + "it is not a listening"}},
		{"fewer than promised", nil, "LISTEN_PID=$$ LISTEN_FDS=1", []string{broken(3, "")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := passing(t, "TestInherit_Process", tt.files, tt.env).CombinedOutput()
			lines := strings.Split(string(out), "\n")
			ok := err == nil && len(lines) > len(tt.want)
			for i := 0; ok && i < len(tt.want); i++ {
				ok = strings.HasPrefix(lines[i], tt.want[i])
			}
			if strings.HasPrefix(tt.want[0], "error celeris") && !strings.Contains(string(out), "open []") {
				ok = false // a descriptor would be passed on
			}
			if !ok {
				t.Errorf("the process said\n%s%v\nwant lines that begin with\n%s", out, err, strings.Join(tt.want, "\n"))
			}
		})
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("a process that closed an inherited socket removed its file: %v", err)
	}
}

// TestInheritStart_Process is not a test but the process that TestStart_ServesWhatItInherits starts.
func TestInheritStart_Process(t *testing.T) {
	if os.Getenv("CELERIS_TEST_CHILD") != t.Name() {
		t.Skip("runs in a process of its own only")
	}
	app := drainable(celeris.Config{Addr: "256.0.0.1:x"})
	fmt.Println("result", app.Start())
}

func TestStart_ServesWhatItInherits(t *testing.T) {
	a, addrA := socket(t, "tcp", "127.0.0.1:0")
	b, addrB := socket(t, "tcp", "127.0.0.1:0")
	server := spawn(t, passing(t, "TestInheritStart_Process", []*os.File{a, b}, "LISTEN_PID=$$ LISTEN_FDS=2"))
	for _, addr := range []string{addrA, addrB, addrB, addrA} {
		if code, body := request(t, http.DefaultClient, "GET", "http://"+addr+"/ready"); code != 200 || body != "ready\n" {
			t.Errorf("response = %d %q, want 200 ready", code, body)
		}
	}
	if err := server.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := server.await(t, "result "); got != "<nil>" {
		t.Errorf("Start = %s, want nil", got)
	}

	server = spawn(t, passing(t, "TestInheritStart_Process", nil, "LISTEN_PID=1 LISTEN_FDS=2"))
	if got := server.await(t, "result "); !strings.Contains(got, "256.0.0.1:x") {
		t.Errorf("Start without a socket = %s, want an error about Addr", got)
	}
	server = spawn(t, passing(t, "TestInheritStart_Process", nil, "LISTEN_PID=$$ LISTEN_FDS=2"))
	if got := server.await(t, "result "); !strings.Contains(got, "inherited descriptor 3") {
		t.Errorf("Start without the socket that was promised = %s, want an error about it", got)
	}
}
