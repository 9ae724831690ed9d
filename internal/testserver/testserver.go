// Package testserver starts private servers for tests: each on a free address of its own, with its files in the test's
// temporary directory, and gone when the test ends.
//
// A server that isn't installed skips the test and says what to install; with CI=true it fails it.
package testserver

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// patience bounds the wait for a server that starts or ends.
	patience = 30 * time.Second

	// attempts is how often a server that ends while it starts is started again: its port may have been taken.
	attempts = 5
)

// find returns the path of the first program that is installed. Otherwise it ends the test; hint says what to install.
func find(t testing.TB, hint string, programs ...string) string {
	t.Helper()
	for _, program := range programs {
		if path, err := exec.LookPath(program); err == nil {
			return path
		}
	}
	message := fmt.Sprintf("NOT TESTED: %s is not installed (%s)", programs[0], hint)
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

// freePort returns a port of the loopback address that nobody listens on, outside of what the system gives to outgoing
// connections: so it stays free while the server that had it is down.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 10000 + rand.IntN(20000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		return port
	}
	t.Fatal("testserver: no free port")
	return 0
}

// process is a server's process. Its methods are for the test's goroutine, which they end on failure.
type process struct {
	t       testing.TB
	dir     string              // of its files, and the working directory
	command func() *exec.Cmd    // a new one for each start
	answers func(pid int) error // nil once the server, which is that process, does its work

	mu   sync.Mutex // guards all below
	run  *exec.Cmd  // nil when it isn't running
	done chan error // receives what run ended with
}

// begin starts a process for the first time and has it killed when the test ends. Prepare, if not nil, runs before each
// attempt, as to take another port.
func (p *process) begin(prepare func()) {
	p.t.Helper()
	p.t.Cleanup(p.end)
	for n := 1; ; n++ {
		if prepare != nil {
			prepare()
		}
		err := p.start()
		if err == nil {
			return
		}
		if !errors.Is(err, errEnded) || n == attempts {
			p.t.Fatalf("testserver: %v\n%s", err, p.log())
		}
	}
}

var (
	// errEnded reports a server that ended while it was started.
	errEnded   = errors.New("ended")
	errCleanly = errors.New("exit status 0")
)

// start runs the process and returns when it answers.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil {
		return errors.New("is running already")
	}
	out, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := p.command()
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, out, out
	dieWithParent(cmd)
	started, done := make(chan error), make(chan error, 1)
	go func() {
		// The system takes the end of the thread that started the process for that of its parent.
		runtime.LockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		done <- cmd.Wait()
	}()
	if err := <-started; err != nil {
		return err
	}
	p.run, p.done = cmd, done

	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		err := p.answers(cmd.Process.Pid)
		if err == nil {
			return nil
		}
		select {
		case ended := <-done:
			p.run = nil
			return fmt.Errorf("%s %w: %w", filepath.Base(cmd.Path), errEnded, cmp.Or(ended, errCleanly))
		case <-deadline:
			return fmt.Errorf("%s doesn't answer: %w", filepath.Base(cmd.Path), err)
		case <-tick.C:
		}
	}
}

// signal sends a signal to the running process.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		p.t.Fatalf("testserver: %v for a server that isn't running", s)
	}
	if err := p.run.Process.Signal(s); err != nil {
		p.t.Fatalf("testserver: %v: %v", s, err)
	}
}

// stop sends a signal that ends the process, and waits for the end. A process that isn't running has ended.
func (p *process) stop(s os.Signal) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return
	}
	if err := p.run.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("testserver: %v: %v", s, err)
	}
	select {
	case <-p.done: //nolint:errcheck // it was killed, and says so
		p.run = nil
	case <-time.After(patience):
		p.t.Errorf("testserver: %s doesn't end after %v", filepath.Base(p.run.Path), s)
	}
}

// end is what the test ends with.
func (p *process) end() {
	p.stop(os.Kill)
	if p.t.Failed() {
		p.t.Logf("the end of the log of %s:\n%s", p.dir, p.log())
	}
}

// log returns the end of what the server has printed.
func (p *process) log() string {
	text, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return strings.ToValidUTF8(string(text[max(0, len(text)-4096):]), "?")
}
