package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := try(ctx)
	if missing, ok := errors.AsType[*missingError](err); ok {
		fmt.Println("SKIPPED the Autobahn|Testsuite:", missing)
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "autobahn:", err)
		os.Exit(1)
	}
}

func try(ctx context.Context) error {
	client, err := find(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "autobahn")
	if err != nil {
		return err
	}
	agents, err := serveAll(ctx)
	if err != nil {
		return err
	}
	return errors.Join(client.try(ctx, dir, agents.list), agents.stop())
}

// try has the client try all agents, and judges its report.
func (f *fuzzer) try(ctx context.Context, dir string, agents []agent) error {
	if err := writeSpec(filepath.Join(dir, specName), agents, f.reports(dir)); err != nil {
		return err
	}
	fmt.Printf("==> %s against %d agents; reports in %s\n", f.name, len(agents), filepath.Join(dir, reportsName))
	if err := f.run(ctx, dir); err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	v, err := readVerdict(filepath.Join(dir, reportsName, "index.json"))
	if err != nil {
		return err
	}
	fmt.Print(v)
	return v.judge(agents)
}

const (
	specName    = "fuzzingclient.json"
	reportsName = "reports"
	image       = "crossbario/autobahn-testsuite"
)

// missingError says that there is no fuzzing client.
type missingError struct{ wstest, docker error }

func (e *missingError) Error() string {
	return fmt.Sprintf("there is no wstest (%v) and no Docker (%v)", e.wstest, e.docker)
}

// fuzzer is a way to run the fuzzing client.
type fuzzer struct {
	name    string
	mounted string // where it sees the directory, if elsewhere
	command func(ctx context.Context, dir string) *exec.Cmd
}

// find looks for wstest, then for Docker.
func find(ctx context.Context) (*fuzzer, error) {
	wstest, err := exec.LookPath("wstest")
	if err == nil {
		return &fuzzer{name: "wstest", command: func(ctx context.Context, dir string) *exec.Cmd {
			return exec.CommandContext(ctx, wstest, "-m", "fuzzingclient", "-s", filepath.Join(dir, specName))
		}}, nil
	}
	asking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	docker := exec.CommandContext(asking, "docker", "version", "--format", "{{.Server.Version}}")
	if dockerErr := docker.Run(); dockerErr != nil {
		return nil, &missingError{err, fmt.Errorf("docker version: %w", dockerErr)}
	}
	return &fuzzer{name: image, mounted: "/autobahn", command: func(ctx context.Context, dir string) *exec.Cmd {
		return exec.CommandContext(ctx, "docker", "run", "--rm", "--network=host", "-v", dir+":/autobahn", image,
			"wstest", "-m", "fuzzingclient", "-s", "/autobahn/"+specName)
	}}, nil
}

// reports is where the client writes them, as it sees the directory.
func (f *fuzzer) reports(dir string) string {
	if f.mounted != "" {
		dir = f.mounted
	}
	return filepath.Join(dir, reportsName)
}

func (f *fuzzer) run(ctx context.Context, dir string) error {
	cmd := f.command(ctx, dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.WaitDelay = 10 * time.Second
	return cmd.Run()
}

// loopback listens where the fuzzing client of this machine can reach it and nobody else.
func loopback() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
