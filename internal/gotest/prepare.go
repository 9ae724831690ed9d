package gotest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// A need is a program that tests run, and where Debian has it.
type need struct {
	what     string
	programs []string // any of them will do; a * stands for any part of a path
	packages []string
}

var (
	compilerNeed = need{"a C compiler (the race detector links with it)",
		[]string{"gcc", "cc", "clang"}, []string{"gcc", "libc6-dev"}}
	browserNeeds = []need{
		{"a Chromium browser", []string{"chromium", "chromium-browser", "google-chrome"}, []string{"chromium", "fonts-liberation"}},
		{"Node.js", []string{"node"}, []string{"nodejs"}},
		{"npm", []string{"npm"}, []string{"npm"}},
	}
	proxyNeeds = []need{
		{"nginx", []string{"nginx", "/usr/sbin/nginx"}, []string{"nginx-light"}},
		{"haproxy", []string{"haproxy", "/usr/sbin/haproxy"}, []string{"haproxy"}},
	}
	serverNeeds = []need{
		{"redis-server", []string{"redis-server"}, []string{"redis-server"}},
		{"PostgreSQL", []string{"postgres", "/usr/lib/postgresql/*/bin/postgres"}, []string{"postgresql"}},
		{"memcached", []string{"memcached"}, []string{"memcached"}},
	}
)

// Prepare provides what the tests below root need besides Go: a C compiler if race is set, and, where a
// package-lock.json is found, a browser, Node.js and the locked npm packages, nginx and haproxy for test/fixtures, and
// the servers that internal/testserver starts. On Debian, as root or where sudo asks for no password, it installs what
// is missing; progress and the installers' output go to log. It returns one sentence for each thing that is still
// missing, and an error only if root can't be read.
// What is there already costs no time and no network.
func Prepare(ctx context.Context, log io.Writer, root string, race bool) (missing []string, err error) {
	projects, err := npmProjects(root)
	if err != nil {
		return nil, err
	}
	var needs []need
	if race {
		needs = append(needs, compilerNeed)
	}
	if len(projects) > 0 {
		needs = append(needs, browserNeeds...)
	}
	if _, err := os.Stat(filepath.Join(root, "test", "fixtures")); err == nil {
		needs = append(needs, proxyNeeds...)
	}
	if _, err := os.Stat(filepath.Join(root, "internal", "testserver")); err == nil {
		needs = append(needs, serverNeeds...)
	}
	if absent := lacking(needs); len(absent) > 0 {
		installErr := cmp.Or(install(ctx, log, absent), errNotInPath)
		for _, n := range lacking(absent) {
			missing = append(missing, fmt.Sprintf("%s is missing (Debian: apt-get install %s): %v",
				n.what, strings.Join(n.packages, " "), installErr))
		}
	}
	for _, dir := range projects {
		if fresh(dir) {
			continue
		}
		if err := run(ctx, log, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
			missing = append(missing, fmt.Sprintf("npm packages of %s are missing: %v", dir, err))
		}
	}
	return missing, nil
}

// npmProjects are the directories below root with a package-lock.json.
func npmProjects(root string) ([]string, error) {
	var dirs []string
	err := walk(root, func(path string) {
		if filepath.Base(path) == "package-lock.json" {
			dirs = append(dirs, filepath.Dir(path))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("gotest: find npm projects: %w", err)
	}
	return dirs, nil
}

// fresh reports whether npm installed what the lock file of dir says now.
func fresh(dir string) bool {
	lock, err := os.Stat(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return false
	}
	installed, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json"))
	return err == nil && !installed.ModTime().Before(lock.ModTime())
}

func lacking(needs []need) []need {
	var absent []need
	for _, n := range needs {
		found := false
		for _, program := range n.programs {
			paths := []string{program}
			if strings.Contains(program, "*") {
				paths, _ = filepath.Glob(program) // the pattern is well-formed
			}
			found = found || slices.ContainsFunc(paths, func(path string) bool {
				_, err := exec.LookPath(path)
				return err == nil
			})
		}
		if !found {
			absent = append(absent, n)
		}
	}
	return absent
}

// Why something is missing after install.
var (
	errNoInstaller = errors.New("not root on a Debian system, so nothing was installed")
	errNotInPath   = errors.New("installed, but its program is not in PATH")
)

func install(ctx context.Context, log io.Writer, needs []need) error {
	var packages []string
	for _, n := range needs {
		packages = append(packages, n.packages...)
	}
	if _, err := exec.LookPath("apt-get"); err != nil || runtime.GOOS != "linux" {
		return errNoInstaller
	}
	apt := []string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120"}
	if os.Geteuid() != 0 {
		if exec.CommandContext(ctx, "sudo", "-n", "true").Run() != nil {
			return errNoInstaller
		}
		apt = append([]string{"sudo", "-n"}, apt...)
	}
	if err := run(ctx, log, "", append(apt, "update", "-qq")...); err != nil {
		return err
	}
	return run(ctx, log, "", append(append(apt, "install", "-y", "-qq", "--no-install-recommends"), packages...)...)
}

func run(ctx context.Context, log io.Writer, dir string, args ...string) error {
	_, _ = fmt.Fprintln(log, "+", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return nil
}
