//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/goceleris/celeris/engine"
)

func main() {
	if os.Getenv(clientVariable) != "" {
		if err := runClients(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := 0
	if err := soak(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		code = 1
	}
	stop()
	os.Exit(code)
}

func soak(ctx context.Context) error {
	cfg := config{kind: kindSSE, engine: engine.Kind(os.Getenv("SOAK_ENGINE")), time: 10 * time.Minute, streams: 5000, log: os.Stdout}
	var err error
	if v := os.Getenv("SOAK_KIND"); v != "" {
		cfg.kind = kind(v)
	}
	if v := os.Getenv("SOAK_TIME"); v != "" {
		if cfg.time, err = time.ParseDuration(v); err != nil {
			return fmt.Errorf("SOAK_TIME: %w", err)
		}
	}
	if v := os.Getenv("SOAK_STREAMS"); v != "" {
		if cfg.streams, err = strconv.Atoi(v); err != nil {
			return fmt.Errorf("SOAK_STREAMS: %w", err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, err := run(ctx, cfg, func() *exec.Cmd { return exec.Command(self) })
	if err != nil {
		return err
	}
	err = r.judge()
	fmt.Println(r)
	return err
}
