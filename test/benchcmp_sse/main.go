package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/goceleris/celeris/test/benchkit"
)

func main() {
	ok, err := benchkit.Part(part)
	if !ok {
		err = compare()
	}
	exit(err)
}

// part is a server's: "serve NAME".
func part(role string) error {
	return serve(strings.TrimPrefix(role, "serve "), os.Stdin, os.Stdout)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchcmp_sse:", err)
		os.Exit(1)
	}
}

// compare runs everything and writes the results below the root module's directory, which the argument names.
// With "render" behind it, it only writes the page again from the results that are there.
func compare() error {
	root := "../.."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	raw := filepath.Join(root, "docs", "bench", "sse.json")
	if len(os.Args) > 2 && os.Args[2] == "render" {
		r, err := readResult(raw)
		if err != nil {
			return err
		}
		return publishPage(r, root)
	}
	s, err := settings()
	if err != nil {
		return err
	}
	begin := time.Now()
	r, err := run(s, benchkit.Client, func(format string, args ...any) {
		fmt.Printf("%4.0f s  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	})
	if err != nil {
		return err
	}
	latest := filepath.Join(root, "test", "benchcmp_sse", "results", "latest.json")
	for _, path := range []string{latest, raw} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := r.write(path); err != nil {
			return err
		}
	}
	if err := publishPage(r, root); err != nil {
		return err
	}
	fmt.Println(r.tables())
	fmt.Println(r.summary())
	return nil
}

// settings are the default run's, changed by the environment: BENCHCMP_COUNT is how many rounds there are (then no part
// is cut short because of the time), BENCHCMP_BENCHTIME how long a visit goes on publishing at least, BENCHCMP_SUBS how
// many streams there are.
func settings() (Settings, error) {
	s := Settings{Subs: 1000, Rounds: 16, Visit: 250 * time.Millisecond, Idle: 8000, Warm: 200, Few: 10, Many: 10_000, Topics: 100,
		Stall: 200, Fill: 8 << 20, Limited: os.Getenv("BENCHCMP_COUNT") == ""}
	var err error
	if s.Subs, err = strconv.Atoi(cmp.Or(os.Getenv("BENCHCMP_SUBS"), "1000")); err != nil {
		return s, fmt.Errorf("BENCHCMP_SUBS: %w", err)
	}
	if s.Rounds, err = strconv.Atoi(cmp.Or(os.Getenv("BENCHCMP_COUNT"), "16")); err != nil {
		return s, fmt.Errorf("BENCHCMP_COUNT: %w", err)
	}
	if s.Visit, err = time.ParseDuration(cmp.Or(os.Getenv("BENCHCMP_BENCHTIME"), "250ms")); err != nil {
		return s, fmt.Errorf("BENCHCMP_BENCHTIME: %w", err)
	}
	if s.Subs < 10 || s.Rounds < 2 {
		return s, fmt.Errorf("at least 10 streams and 2 rounds are needed")
	}
	return s, nil
}
