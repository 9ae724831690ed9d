package gotest

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestPrepare_NeedsNothingWithoutNpmProjectsAndRace(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var log bytes.Buffer
	missing, err := Prepare(t.Context(), &log, t.TempDir(), false)
	if err != nil || len(missing) > 0 || log.Len() > 0 {
		t.Errorf("Prepare = %q, %v, log %q; want nothing", missing, err, log.String())
	}
}

func TestPrepare_NamesWhatIsMissingWhereNothingCanBeInstalled(t *testing.T) {
	root := t.TempDir()
	touch(t, filepath.Join(root, "test", "browser", "package-lock.json"))
	t.Setenv("PATH", t.TempDir())
	missing, err := Prepare(t.Context(), new(bytes.Buffer), root, true)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(missing, "\n")
	for _, want := range []string{"C compiler", "Chromium", "Node.js", "npm is missing", "npm packages of"} {
		if !strings.Contains(got, want) {
			t.Errorf("missing = %q, want %q in it", got, want)
		}
	}
}

func TestPrepare_NamesMissingServers(t *testing.T) {
	root := t.TempDir()
	touch(t, filepath.Join(root, "internal", "testserver", "testserver.go"))
	t.Setenv("PATH", t.TempDir())
	missing, err := Prepare(t.Context(), new(bytes.Buffer), root, false)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(missing, "\n")
	for _, want := range []string{"apt-get install redis-server", "apt-get install memcached"} {
		if !strings.Contains(got, want) {
			t.Errorf("missing = %q, want %q in it", got, want)
		}
	}
}

func TestLacking_LooksWhereAPatternPoints(t *testing.T) {
	dir := t.TempDir()
	needs := []need{{"it", []string{"no-such-program", filepath.Join(dir, "*", "bin", "it")}, nil}}
	if got := lacking(needs); len(got) != 1 {
		t.Errorf("lacking = %v, want it", got)
	}
	program := filepath.Join(dir, "15", "bin", "it")
	touch(t, program)
	if got := lacking(needs); len(got) != 1 {
		t.Errorf("lacking with a file that is no program = %v, want it", got)
	}
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := lacking(needs); len(got) != 0 {
		t.Errorf("lacking = %v, want nothing", got)
	}
}

func TestPrepare_RunsNpmOnceForEveryNewLockFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for npm is a shell script")
	}
	root, bin := t.TempDir(), t.TempDir()
	lock := filepath.Join(root, "test", "browser", "package-lock.json")
	touch(t, lock)
	for _, name := range []string{"chromium", "node", "npm"} {
		write(t, filepath.Join(bin, name), "#!/bin/sh\necho $0 \"$@\"\nmkdir -p node_modules\n> node_modules/.package-lock.json\n")
		if err := os.Chmod(filepath.Join(bin, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	prepare := func() (ran bool) {
		t.Helper()
		var log bytes.Buffer
		missing, err := Prepare(t.Context(), &log, root, false)
		if err != nil || len(missing) > 0 {
			t.Fatalf("Prepare = %q, %v, log %q", missing, err, log.String())
		}
		return strings.Contains(log.String(), filepath.Join(bin, "npm")+" ci")
	}
	if !prepare() {
		t.Error("npm ci did not run without node_modules")
	}
	if prepare() {
		t.Error("npm ci ran again for the same lock file")
	}
	newer := time.Now().Add(time.Hour)
	if err := os.Chtimes(lock, newer, newer); err != nil {
		t.Fatal(err)
	}
	if !prepare() {
		t.Error("npm ci did not run for a newer lock file")
	}
}
