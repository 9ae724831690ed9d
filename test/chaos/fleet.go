package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// patience bounds every wait for something that has to happen.
const patience = time.Minute

// fleet is the nodes, each a process.
type fleet struct {
	node string // the value of nodeVariable

	mu    sync.Mutex // guards nodes
	nodes []*process // nil while one is down
}

// process is one run of a node.
type process struct {
	addr  string
	cmd   *exec.Cmd
	stdin io.Closer
}

// startFleet starts n nodes.
func startFleet(node string, n int) (*fleet, error) {
	f := &fleet{node: node, nodes: make([]*process, n)}
	for i := range n {
		if err := f.start(i); err != nil {
			return nil, errors.Join(err, f.stop())
		}
	}
	return f, nil
}

// start starts a node and returns when it serves. Where Redis is down a node ends again, and is started once more.
func (f *fleet) start(i int) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		p, err := startProcess(f.node)
		if err == nil {
			f.mu.Lock()
			f.nodes[i] = p
			f.mu.Unlock()
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("start node %d: %w", i, err)
		}
	}
}

func startProcess(node string) (*process, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), nodeVariable+"="+node)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("node: %w, %w: %.2000s", err, cmd.Wait(), complaint.String())
	}
	return &process{strings.TrimSpace(addr), cmd, stdin}, nil
}

// kill ends a node with SIGKILL and returns when it has gone. One that is down stays down.
func (f *fleet) kill(i int) error {
	f.mu.Lock()
	p := f.nodes[i]
	f.nodes[i] = nil
	f.mu.Unlock()
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill node %d: %w", i, err)
	}
	_ = p.cmd.Wait() // "signal: killed"
	return nil
}

func (f *fleet) stop() (err error) {
	for i := range f.nodes {
		err = errors.Join(err, f.kill(i))
	}
	return err
}

// any returns the address of a node that is up, "" if none is.
func (f *fleet) any(rng *rand.Rand) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := rng.IntN(len(f.nodes))
	for i := range f.nodes {
		if p := f.nodes[(first+i)%len(f.nodes)]; p != nil {
			return p.addr
		}
	}
	return ""
}
