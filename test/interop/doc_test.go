// Package interop has event streams cross between celeris and what others wrote, over connections that are cut again and
// again: the client of package sse reads from servers of others, and clients of others read from package sse.
//
// It takes Node.js, a Chromium and what "npm ci" installs here.
package interop

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/goceleris/celeris/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// requireNode skips the test, loudly, if Node.js or a package is missing. In CI that is a failure.
func requireNode(t *testing.T, npm string) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		missing(t, "node is not in PATH (Debian: apt-get install nodejs npm)")
	}
	if _, err := os.Stat(filepath.Join("node_modules", npm)); errors.Is(err, fs.ErrNotExist) {
		missing(t, "run npm ci in test/interop")
	}
}

// requireBrowser returns the path of a Chromium.
func requireBrowser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	missing(t, "no Chromium is in PATH (Debian: apt-get install chromium)")
	return ""
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("MISSING for %s: %s", t.Name(), what)
	}
	t.Skipf("SKIPPED: %s", what)
}
