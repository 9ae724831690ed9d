package loadgen

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// Fleet is a client process as the one that started it sees it. It is for one goroutine at a time.
type Fleet struct {
	cmd     *exec.Cmd
	request io.WriteCloser
	answers *bufio.Reader
	groups  int
}

// Start starts a process that calls [Serve] with its standard input and output.
func Start(cmd *exec.Cmd) (*Fleet, error) {
	request, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("loadgen: start: %w", err)
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("loadgen: start: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("loadgen: start: %w", err)
	}
	return &Fleet{cmd: cmd, request: request, answers: bufio.NewReader(answers)}, nil
}

// Group names the streams that one call of [Fleet.Connect] opened.
type Group int

// Connect opens n streams at a path of a server, and returns when each of them has its first position. addr is an
// IPv4 address with a port.
func (f *Fleet) Connect(addr, path string, n int) (Group, error) {
	if _, err := f.ask("connect %s %s %d", addr, path, n); err != nil {
		return 0, fmt.Errorf("loadgen: connect: %w", err)
	}
	f.groups++
	return Group(f.groups - 1), nil
}

// Await returns when each stream of a group has got exactly that many events since it was opened, which must be within
// half a minute.
func (f *Fleet) Await(g Group, events int) error {
	if _, err := f.ask("await %d %d", g, events); err != nil {
		return fmt.Errorf("loadgen: await: %w", err)
	}
	return nil
}

// Close closes all streams and ends the process.
func (f *Fleet) Close() error {
	return errors.Join(f.request.Close(), f.cmd.Wait())
}

// ask sends a request and returns what is behind the "ok" of its answer.
func (f *Fleet) ask(format string, args ...any) (string, error) {
	if _, err := fmt.Fprintf(f.request, format+"\n", args...); err != nil {
		return "", err
	}
	answer, err := f.answers.ReadString('\n')
	if err != nil {
		return "", err
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(answer), "ok")
	if !ok {
		return "", errors.New(strings.TrimSpace(answer))
	}
	return rest, nil
}
