package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goceleris/celeris/internal/testserver"
)

// TestResumable_PageCompletesItsAnswer kills the server of examples/resumable in the middle of an answer.
func TestResumable_PageCompletesItsAnswer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a browser")
	}
	chromium := requireBrowser(t)
	redis := testserver.Redis(t, testserver.RedisDurable()...)
	binary := filepath.Join(t.TempDir(), "resumable")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/goceleris/celeris/examples/resumable").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	server, addr := startResumable(t, binary, redis.Addr, "127.0.0.1:0")

	ctx, cancel := context.WithTimeout(t.Context(), browsing)
	defer cancel()
	script := exec.CommandContext(ctx, "node", "resumable.mjs", "http://"+addr)
	script.Env = append(os.Environ(), "CHROMIUM="+chromium)
	script.Stderr = t.Output()
	script.Cancel = func() error { return script.Process.Signal(syscall.SIGTERM) }
	script.WaitDelay = ending
	out, err := script.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	kills, answers := 0, []string(nil)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch lines.Text() {
		case "kill":
			kills++
			kill(server)
		case "start":
			server, _ = startResumable(t, binary, redis.Addr, addr)
		default:
			var answer string
			if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
				t.Errorf("%q: %v", lines.Text(), err)
			}
			answers = append(answers, answer)
		}
	}
	if err := script.Wait(); err != nil {
		t.Fatalf("resumable.mjs: %v", err)
	}
	source, err := os.ReadFile("../../examples/resumable/writer.go")
	if err != nil {
		t.Fatal(err)
	}
	want := "You asked: “Is anything “lost” & <b>gone</b>?” That is a good question. " + constant(string(source))
	if kills != 1 || len(answers) != 2 || answers[0] != want || answers[1] != want {
		t.Errorf("after %d kills the page says %q, want %q twice", kills, answers, want)
	}
}

// constant is the text of the answer as the example's source has it.
func constant(source string) string {
	_, source, _ = strings.Cut(source, "const text = ")
	var text strings.Builder
	for _, m := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(source, -1) {
		text.WriteString(m[1])
	}
	return text.String()
}

// startResumable returns a running example and its address. The test's end kills it.
func startResumable(t *testing.T, binary, redis, addr string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(binary, "-addr", addr, "-redis", redis, "-pace", "50ms")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	late := time.AfterFunc(ending, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := regexp.MustCompile(`listening addr=(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			go io.Copy(io.Discard, out) // ends with the process
			return cmd, m[1]
		}
		t.Log(lines.Text())
	}
	t.Fatal("the example ended")
	return nil, ""
}

// kill is kill -9.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // "signal: killed", or it was killed before
}
