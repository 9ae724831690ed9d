//go:build unix

package celeris_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/goceleris/celeris"
)

// TestStart_Process is not a test but the process that TestStart_EndsBySignal starts.
func TestStart_Process(t *testing.T) {
	if os.Getenv("CELERIS_TEST_START") == "" {
		t.Skip("runs in a process of its own only")
	}
	app := drainable(celeris.Config{Addr: "127.0.0.1:0", DrainTimeout: time.Hour})
	fmt.Println("result", app.Start()) // the address is in the log
}

func TestStart_EndsBySignal(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		second     bool
	}{
		{"gracefully", "/ready", false},
		{"at the second signal", "/ignore/1h", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStart_Process$", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), "CELERIS_TEST_START=1")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stderr = cmd.Stdout
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			await := func(prefix string) string {
				t.Helper()
				for lines.Scan() {
					if _, rest, ok := strings.Cut(lines.Text(), prefix); ok {
						return rest
					}
				}
				t.Fatalf("the process ended without saying %q", prefix)
				return ""
			}
			url := "http://" + strings.Fields(await("addr="))[0] + tt.path
			var wg sync.WaitGroup
			defer wg.Wait()
			if tt.second {
				wg.Go(func() {
					if res, err := http.Get(url); err == nil {
						res.Body.Close()
						t.Errorf("status = %d from a process that was killed", res.StatusCode)
					}
				})
				await("ignoring")
			} else if code, _ := request(t, http.DefaultClient, "GET", url); code != 200 {
				t.Errorf("status = %d, want 200", code)
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if !tt.second {
				if got := await("result "); got != "<nil>" {
					t.Errorf("Start = %s, want nil", got)
				}
				if err := cmd.Wait(); err != nil {
					t.Errorf("process: %v", err)
				}
				return
			}
			await("shutting down")
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			err = cmd.Wait()
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Errorf("process: %v, want to be ended by SIGTERM", err)
			}
		})
	}
}
