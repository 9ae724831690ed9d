//go:build mage

// The build targets of this repository: go tool mage lists them, go tool mage test runs one.
//
// Every target that tests or checks code does so in all modules of the tree.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/goceleris/celeris/internal/gotest"
)

// Setup installs what the tests need besides Go: a browser, npm packages, a C compiler for -race. Where it
// can't, it says loudly what will be skipped; with CI=true that is a failure.
func Setup(ctx context.Context) error { return setup(ctx, ci()) }

// Test sets up and runs all tests, and ends with a line that counts them. With CI=true it also looks for
// races, shuffles, and takes nothing from the cache.
func Test(ctx context.Context) error {
	if ci() {
		return test(ctx, true, "-race", "-shuffle=on", "-count=1", "-timeout=12m")
	}
	return test(ctx, false)
}

// Race is Test with the race detector and in random order.
func Race(ctx context.Context) error { return test(ctx, true, "-race", "-shuffle=on") }

// Check is everything that has to be clean before a change goes in: formatting, vet, fix, other systems,
// lint and the tests.
func Check(ctx context.Context) error {
	for _, target := range []func(context.Context) error{Fmt, Vet, Fix, Cross, Lint, Test} {
		if err := target(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Fmt fails when a file is not formatted by gofmt.
func Fmt(ctx context.Context) error {
	return clean(ctx, ".", "gofmt", "-l", ".")
}

// Vet runs go vet, on this file too.
func Vet(ctx context.Context) error {
	if err := inModules(func(dir string) error { return run(ctx, dir, "go", "vet", "./...") }); err != nil {
		return err
	}
	return run(ctx, ".", "go", "vet", "-tags", "mage", "magefile.go")
}

// Fix fails when go fix would modernize something.
func Fix(ctx context.Context) error {
	return inModules(func(dir string) error { return clean(ctx, dir, "go", "fix", "-diff", "./...") })
}

// Cross compiles the root module for systems other than this one.
func Cross(ctx context.Context) error {
	for _, system := range []string{"linux/arm64", "darwin/arm64", "windows/amd64"} {
		goos, goarch, _ := strings.Cut(system, "/")
		fmt.Println("==> for", system)
		target := []string{"CGO_ENABLED=0", "GOOS=" + goos, "GOARCH=" + goarch}
		if err := runWith(ctx, target, ".", "go", "build", "./..."); err != nil {
			return fmt.Errorf("for %s: %w", system, err)
		}
	}
	return nil
}

// Lint runs golangci-lint with .golangci.yml. The first run builds it, which takes some minutes.
func Lint(ctx context.Context) error {
	lint, err := tool(ctx, "github.com/golangci/golangci-lint/v2/cmd/golangci-lint")
	if err != nil {
		return err
	}
	config, err := filepath.Abs(".golangci.yml")
	if err != nil {
		return err
	}
	return inModules(func(dir string) error { return run(ctx, dir, lint, "run", "--config", config, "./...") })
}

// Bench runs the benchmarks that match BENCH (all) in PKG (./...), BENCHTIME (1s) long and COUNT (1) times.
func Bench(ctx context.Context) error {
	return run(ctx, ".", "go", "test", "-run=^$", "-bench="+env("BENCH", "."), "-benchmem",
		"-benchtime="+env("BENCHTIME", "1s"), "-count="+env("COUNT", "1"), env("PKG", "./..."))
}

// BenchcmpSSE compares the delivery of server-sent events with other servers and a floor in C, in under ten minutes,
// and writes docs/benchmarks.md anew. BENCHCMP_SUBS is the number of streams (1000), BENCHCMP_COUNT that of rounds (16;
// if it is set, nothing is cut short because of the time), BENCHCMP_BENCHTIME the length of a visit (250ms).
func BenchcmpSSE(ctx context.Context) error { return benchcmp(ctx, "benchcmp_sse") }

// BenchcmpWS compares WebSockets with other servers and a floor in C. Its last line is BENCHCMP_WS and the figures; the
// variables are those of BenchcmpSSE, with 10 rounds.
func BenchcmpWS(ctx context.Context) error { return benchcmp(ctx, "benchcmp_ws") }

// TestAutobahn has the fuzzing client of the Autobahn|Testsuite try the WebSocket server on every engine. It takes wstest
// or Docker, and says so where there is neither.
func TestAutobahn(ctx context.Context) error { return run(ctx, ".", "go", "run", "./test/autobahn") }

// Fuzz runs each fuzz target that matches FUZZ (all) in PKG (./...) for FUZZTIME (20s).
func Fuzz(ctx context.Context) error {
	filter, err := regexp.Compile(env("FUZZ", "."))
	if err != nil {
		return fmt.Errorf("FUZZ: %w", err)
	}
	listing, err := exec.CommandContext(ctx, "go", "test", "-list=^Fuzz", env("PKG", "./...")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("list fuzz targets: %w\n%s", err, listing)
	}
	var targets []string // of the package whose line comes below them
	for line := range strings.Lines(string(listing)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "Fuzz") {
			targets = append(targets, line)
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "ok" {
			continue
		}
		for _, target := range targets {
			if !filter.MatchString(target) {
				continue
			}
			if err := fuzz(ctx, fields[1], target); err != nil {
				return err
			}
		}
		targets = nil
	}
	return nil
}

// Soak has SOAK_STREAMS (5000) streams come, stall and go for SOAK_TIME (10m) on SOAK_ENGINE (the best there is), and
// fails if a client missed something or something of them is left. SOAK_KIND=ws takes WebSockets in place of server-sent
// events (sse): compressed or not, with a hub and messages that come back. Its last line is SOAK and the figures.
func Soak(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	soak := filepath.Join(dir, "soak") // go run would add a line behind the last one
	if err := run(ctx, ".", "go", "build", "-o", soak, "./test/soak"); err != nil {
		return err
	}
	if err := run(ctx, ".", soak); err != nil {
		os.RemoveAll(dir)
		os.Exit(1) // a returned error would be printed behind the last line
	}
	return nil
}

// Chaos takes three brokers on one Redis apart while CHAOS_CLIENTS (100) clients read CHAOS_EVENTS (50000) events, and fails
// if one of them missed something, got something twice or was told of a loss that was none. CHAOS_SEED repeats the
// choices of a run; CHAOS_MUTANT (resync, skip or repeat) shows that a server which goes wrong is caught. Its last line
// is CHAOS and the figures. It takes about a minute.
func Chaos(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "chaos.test") // go test would add a line behind the last one
	if err := run(ctx, ".", "go", "test", "-c", "-o", program, "./test/chaos"); err != nil {
		return err
	}
	settings := []string{
		"CI=true", // without Redis there is nothing to skip to
		"CHAOS_EVENTS=" + env("CHAOS_EVENTS", "50000"), "CHAOS_CLIENTS=" + env("CHAOS_CLIENTS", "100"),
	}
	if err := runWith(ctx, settings, "test/chaos", program, "-test.run=^TestChaos$", "-test.v", "-test.timeout=10m"); err != nil {
		os.RemoveAll(dir)
		os.Exit(1) // a returned error would be printed behind the last line
	}
	return nil
}

// Demo runs the live page.
func Demo(ctx context.Context) error { return run(ctx, ".", "go", "run", "./cmd/celeris", "demo") }

// Vuln looks for known vulnerabilities in what the code calls. Where the database of GOVULNDB
// (https://vuln.go.dev) is out of reach it says so and is no failure.
func Vuln(ctx context.Context) error {
	database := env("GOVULNDB", "https://vuln.go.dev")
	if err := reachable(ctx, database); err != nil {
		fmt.Printf("SKIPPED govulncheck: its database is out of reach: %v\n", err)
		return nil
	}
	vulncheck, err := tool(ctx, "golang.org/x/vuln/cmd/govulncheck")
	if err != nil {
		return err
	}
	return inModules(func(dir string) error {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
		defer cancel()
		err := run(ctx, dir, vulncheck, "-db", database, "./...")
		if ctx.Err() != nil {
			fmt.Printf("SKIPPED govulncheck of %s: %v\n", dir, ctx.Err())
			return nil
		}
		return err
	})
}

// benchcmp builds a benchmark of test and runs it.
func benchcmp(ctx context.Context, name string) error {
	dir, err := os.MkdirTemp("", "benchcmp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root, err := filepath.Abs(".")
	if err != nil {
		return err
	}
	program := filepath.Join(dir, name)
	if err := run(ctx, filepath.Join("test", name), "go", "build", "-o", program, "."); err != nil {
		return err
	}
	return run(ctx, ".", program, root)
}

func setup(ctx context.Context, race bool) error {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Minute)
	defer cancel()
	missing, err := gotest.Prepare(ctx, os.Stdout, ".", race)
	if err != nil {
		return err
	}
	for _, sentence := range missing {
		fmt.Println("MISSING", sentence)
	}
	if len(missing) == 0 {
		return nil
	}
	if ci() {
		return errors.New("with CI=true nothing may be missing")
	}
	fmt.Println("MISSING tests that need the above are skipped: what follows is not the whole picture")
	return nil
}

func test(ctx context.Context, race bool, args ...string) error {
	if err := setup(ctx, race); err != nil {
		return err
	}
	var report gotest.Report
	var failures []error
	err := inModules(func(dir string) error {
		if err := report.Run(ctx, os.Stdout, dir, append(args, "./...")...); err != nil {
			failures = append(failures, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, failure := range failures {
		fmt.Println("FAIL", failure)
	}
	fmt.Println(&report)
	if len(failures) > 0 {
		os.Exit(1) // a returned error would be printed below the counts, which are the last line
	}
	return nil
}

// fuzz runs one target. When the time is up while a worker is being asked for more, go test reports a failure
// with nothing but "context deadline exceeded": that is the ordinary end.
func fuzz(ctx context.Context, pkg, target string) error {
	args := []string{"go", "test", "-run=^$", "-fuzz=^" + target + "$", "-fuzztime=" + env("FUZZTIME", "20s"), pkg}
	echo(".", args)
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout = io.MultiWriter(os.Stdout, &output)
	cmd.Stderr = os.Stderr
	err := cmd.Run()
	if err == nil || ctx.Err() == nil && !strings.Contains(output.String(), "Failing input") &&
		strings.Contains(output.String(), "    context deadline exceeded\n") {
		return nil
	}
	return fmt.Errorf("%s in %s: %w", target, pkg, err)
}

// tool builds a command of the tools module, once per version of it and of Go, and returns its path.
func tool(ctx context.Context, pkg string) (string, error) {
	sum, err := os.ReadFile("tools/go.sum")
	if err != nil {
		return "", err
	}
	mod, err := os.ReadFile("tools/go.mod")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	key := sha256.Sum256(bytes.Join([][]byte{mod, sum, []byte(runtime.Version())}, nil))
	path := filepath.Join(cache, "celeris", fmt.Sprintf("tools-%x", key[:8]), filepath.Base(pkg))
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	started := time.Now()
	building := fmt.Sprintf("%s.%d", path, os.Getpid()) // renamed when it is whole
	if err := run(ctx, "tools", "go", "build", "-trimpath", "-o", building, pkg); err != nil {
		return "", err
	}
	fmt.Printf("built in %s\n", time.Since(started).Round(time.Second))
	return path, os.Rename(building, path)
}

func reachable(ctx context.Context, database string) error {
	if strings.HasPrefix(database, "file://") {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, database+"/index/db.json", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// inModules calls do for every module and returns all of its errors.
func inModules(do func(dir string) error) error {
	modules, err := gotest.Modules(".")
	if err != nil {
		return err
	}
	for _, dir := range modules {
		err = errors.Join(err, do(dir))
	}
	return err
}

// clean fails when a command prints anything: what it prints would have to be changed.
func clean(ctx context.Context, dir string, args ...string) error {
	echo(dir, args)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	stdout, err := cmd.Output()
	if len(stdout) > 0 {
		fmt.Printf("%s", stdout)
		return fmt.Errorf("%s in %s: the above has to change", strings.Join(args, " "), dir)
	}
	if err != nil {
		return fmt.Errorf("%s in %s: %w", strings.Join(args, " "), dir, err)
	}
	return nil
}

func run(ctx context.Context, dir string, args ...string) error {
	return runWith(ctx, nil, dir, args...)
}

// runWith is run with more in the environment.
func runWith(ctx context.Context, env []string, dir string, args ...string) error {
	echo(dir, args)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // Ctrl-C lets the demo say goodbye
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s in %s: %w", strings.Join(args, " "), dir, err)
	}
	return nil
}

func echo(dir string, args []string) {
	fmt.Printf("==> %s: %s\n", dir, strings.Join(args, " "))
}

func ci() bool {
	yes, _ := strconv.ParseBool(os.Getenv("CI"))
	return yes
}

func env(name, otherwise string) string { return cmp.Or(os.Getenv(name), otherwise) }
