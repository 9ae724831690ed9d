package benchkit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Process is a server under test, seen from the benchmark.
type Process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *os.File
	answers *bufio.Reader
	Addr    string
}

// slowest is how long any command may take.
const slowest = 60 * time.Second

// StartProcess starts a server and returns when it listens.
func StartProcess(cmd *exec.Cmd) (*Process, error) {
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = w
	err = cmd.Start()
	w.Close()
	if err != nil {
		out.Close()
		return nil, err
	}
	p := &Process{cmd: cmd, in: in, out: out, answers: bufio.NewReader(out)}
	if _, err := fmt.Sscanf(p.read(slowest), "listening %s", &p.Addr); err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not begin to listen: %w", cmd.Args, err), p.Stop())
	}
	return p, nil
}

// read returns the next line, or what is wrong.
func (p *Process) read(patience time.Duration) string {
	_ = p.out.SetReadDeadline(time.Now().Add(patience))
	line, err := p.answers.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return line
}

// Ask sends a command and reads its answer into what format says.
func (p *Process) Ask(command, format string, into ...any) error {
	return p.AskWithin(slowest, command, format, into...)
}

// AskWithin is Ask with another patience.
func (p *Process) AskWithin(patience time.Duration, command, format string, into ...any) error {
	if _, err := fmt.Fprintln(p.in, command); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if answer := p.read(patience); format != "" {
		if _, err := fmt.Sscanf(answer, format, into...); err != nil {
			return fmt.Errorf("%s: %q: %w", command, answer, err)
		}
	}
	return nil
}

// Stats asks for the counters.
func (p *Process) Stats() (Counters, error) {
	var c Counters
	if _, err := fmt.Fprintln(p.in, "stats"); err != nil {
		return c, fmt.Errorf("stats: %w", err)
	}
	answer := p.read(slowest)
	if err := json.Unmarshal([]byte(answer), &c); err != nil {
		return c, fmt.Errorf("stats: %q: %w", answer, err)
	}
	return c, nil
}

// Stop ends the process, at the latest by killing it: one that blocks for good doesn't read that it should end.
func (p *Process) Stop() error {
	p.in.Close()
	defer p.out.Close()
	kill := time.AfterFunc(2*time.Second, func() { _ = p.cmd.Process.Kill() })
	err := p.cmd.Wait()
	if !kill.Stop() {
		return nil
	}
	return err
}
