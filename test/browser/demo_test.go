// Package browser looks at the demo and the examples with a real browser: it holds no code but its tests and the scripts
// that they run. A script needs Node.js, Debian's Chromium and what "npm ci" installs here.
package browser

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// browsing bounds the script: it cuts three streams for five seconds each and waits for a reader to be slow.
	browsing = 4 * time.Minute
	// ending bounds what comes after the signal.
	ending = 20 * time.Second
)

func TestDemo_KeepsItsPromisesInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a browser and a minute")
	}
	chromium := requireBrowser(t)
	demo := startDemo(t)
	watcher := watch(t, demo.url+"/events")

	ctx, cancel := context.WithTimeout(t.Context(), browsing)
	defer cancel()
	script := exec.CommandContext(ctx, "node", "demo.mjs", demo.url)
	script.Env = append(os.Environ(), "CHROMIUM="+chromium)
	script.Cancel = func() error { return script.Process.Signal(syscall.SIGTERM) } // it closes its browser
	script.WaitDelay = ending
	out, err := script.CombinedOutput()
	t.Logf("demo.mjs:\n%s", out)
	if err != nil {
		t.Errorf("demo.mjs: %v", err)
	}

	if err := demo.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-demo.ended:
		if err != nil {
			t.Errorf("the demo ended with %v, want exit status 0", err)
		}
	case <-time.After(ending):
		t.Fatalf("the demo is still there %v after SIGTERM", ending)
	}
	body := <-watcher
	if !strings.Contains(body, "\nevent: farewell\n") {
		t.Errorf("a client that watched from the beginning saw no farewell; its stream ends %q", body[max(0, len(body)-400):])
	}
}

// requireBrowser returns the path of a Chromium, or skips the test, loudly, if something is missing that it
// needs. In CI that is a failure: nobody would notice a test that never runs.
func requireBrowser(t *testing.T) (chromium string) {
	t.Helper()
	missing := func(what string) {
		t.Helper()
		if os.Getenv("CI") == "true" {
			t.Fatalf("MISSING for the browser test: %s", what)
		}
		t.Skipf("SKIPPED, the demo was not tried in a browser: %s", what)
	}
	if runtime.GOOS == "windows" {
		missing("a system with SIGTERM")
	}
	if _, err := exec.LookPath("node"); err != nil {
		missing("node is not in PATH (Debian: apt-get install nodejs npm)")
	}
	if _, err := os.Stat(filepath.Join("node_modules", "playwright-core")); errors.Is(err, fs.ErrNotExist) {
		missing("run npm ci in test/browser")
	}
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	missing("no Chromium is in PATH (Debian: apt-get install chromium)")
	return ""
}

// demo is a running command of this repository.
type demo struct {
	url     string
	process *os.Process
	ended   <-chan error // gets what Wait returns, once
}

// startDemo builds cmd/celeris and starts its demo on a free port.
func startDemo(t *testing.T) demo {
	t.Helper()
	return start(t, "github.com/goceleris/celeris/cmd/celeris", "demo", "-addr", "127.0.0.1:0")
}

// start builds a command of this repository and starts it; it has to print its URL.
func start(t *testing.T, pkg string, args ...string) demo {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "command")
	if out, err := exec.Command("go", "build", "-o", binary, pkg).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	command := exec.Command(binary, args...)
	command.Stderr = os.Stderr
	output, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout = input
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	input.Close()
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Kill() // it is gone already unless the test has failed
		output.Close()
	})

	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if url := regexp.MustCompile(`http://127\.0\.0\.1:[1-9][0-9]*`).FindString(lines.Text()); url != "" {
			go io.Copy(io.Discard, output) // ends with the process
			return demo{url, command.Process, ended}
		}
	}
	t.Fatalf("the command printed no URL: %v", cmp.Or(lines.Err(), io.ErrUnexpectedEOF))
	return demo{}
}

// watch opens a stream as a plain client and yields all of it when the server has ended it.
func watch(t *testing.T, url string) <-chan string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), browsing+2*ending)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan string, 1)
	go func() {
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body) // what came before an error is judged all the same
		all <- string(body)
	}()
	return all
}
