package browser

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestChat_KeepsItsPromisesInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a browser")
	}
	chromium := requireBrowser(t)
	chat := start(t, "github.com/goceleris/celeris/examples/chat", "-addr", "127.0.0.1:0")

	ctx, cancel := context.WithTimeout(t.Context(), browsing)
	defer cancel()
	script := exec.CommandContext(ctx, "node", "chat.mjs", chat.url)
	script.Env = append(os.Environ(), "CHROMIUM="+chromium)
	script.Cancel = func() error { return script.Process.Signal(syscall.SIGTERM) } // it closes its browser
	script.WaitDelay = ending
	out, err := script.CombinedOutput()
	t.Logf("chat.mjs:\n%s", out)
	if err != nil {
		t.Errorf("chat.mjs: %v", err)
	}

	if err := chat.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-chat.ended:
		if err != nil {
			t.Errorf("the chat ended with %v, want exit status 0", err)
		}
	case <-time.After(ending):
		t.Fatalf("the chat is still there %v after SIGTERM", ending)
	}
}
