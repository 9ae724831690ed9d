//go:build linux

package celeris_test

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// child is a process of this test binary that serves, and whose output is awaited line by line.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	seen  strings.Builder
}

// spawn starts cmd, which is killed when the test ends.
func spawn(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	return &child{cmd: cmd, lines: bufio.NewScanner(out)}
}

// await returns what follows prefix on the next line that has it.
func (c *child) await(t *testing.T, prefix string) string {
	t.Helper()
	for c.lines.Scan() {
		fmt.Fprintln(&c.seen, c.lines.Text())
		if _, rest, ok := strings.Cut(c.lines.Text(), prefix); ok {
			return rest
		}
	}
	t.Fatalf("the process ended without saying %q, but:\n%s", prefix, c.seen.String())
	return ""
}
