package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/goceleris/celeris/test/benchkit"
	"github.com/goceleris/celeris/test/loadgen"
)

func main() {
	ok, err := benchkit.Part(part)
	if !ok {
		err = compare()
	}
	exit(err)
}

// part is a server's: "serve NAME", or "deflate NAME".
func part(role string) error {
	how, name, _ := strings.Cut(role, " ")
	return serve(name, how == "deflate", os.Stdin, os.Stdout)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchcmp_ws:", err)
		os.Exit(1)
	}
}

// compare runs everything. The results go below the root module's directory, which the argument names.
func compare() error {
	root := "../.."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	s, err := settings()
	if err != nil {
		return err
	}
	begin := time.Now()
	r, err := run(s, func(format string, args ...any) {
		fmt.Printf("%4.0f s  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	})
	if err != nil {
		return err
	}
	latest := filepath.Join(root, "test", "benchcmp_ws", "results", "latest.json")
	if err := os.MkdirAll(filepath.Dir(latest), 0o755); err != nil {
		return err
	}
	if err := r.write(latest); err != nil {
		return err
	}
	fmt.Println(r.table())
	fmt.Println(r.summary())
	return nil
}

// settings are the default run's, changed by the environment as those of benchcmp_sse.
func settings() (Settings, error) {
	s := Settings{Few: 100, Many: 8000, Rooms: 1000}
	var err error
	if s.Subs, err = strconv.Atoi(cmp.Or(os.Getenv("BENCHCMP_SUBS"), "1000")); err != nil {
		return s, fmt.Errorf("BENCHCMP_SUBS: %w", err)
	}
	if s.Rounds, err = strconv.Atoi(cmp.Or(os.Getenv("BENCHCMP_COUNT"), "10")); err != nil {
		return s, fmt.Errorf("BENCHCMP_COUNT: %w", err)
	}
	if s.Visit, err = time.ParseDuration(cmp.Or(os.Getenv("BENCHCMP_BENCHTIME"), "250ms")); err != nil {
		return s, fmt.Errorf("BENCHCMP_BENCHTIME: %w", err)
	}
	if s.Subs < 10 || s.Rounds < 2 {
		return s, fmt.Errorf("at least 10 clients and 2 rounds are needed")
	}
	return s, nil
}

// spare is how many files a process has open besides its connections.
const spare = 300

// run measures everything.
func run(s Settings, say func(format string, args ...any)) (*Result, error) {
	dir, err := os.MkdirTemp("", "benchcmp")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is in the system's temporary directory
	b := &bench{order: rand.New(rand.NewPCG(1, 2)), say: say}
	b.When, b.Settings = time.Now().UTC(), s
	bottom, err := floors(dir)
	if err != nil {
		b.note("%v", err)
	}
	b.Designs = append(bottom, designs()...)
	files, err := loadgen.FileLimit()
	if err != nil {
		return nil, err
	}
	if most := max(s.Many, 10*s.Rooms); most > files-spare {
		b.note("the limit of open files is %d (ulimit -Hn)", files)
		b.Settings.Many = min(s.Many, files-spare)
		b.Settings.Rooms = min(s.Rooms, (files-spare)/10)
	}
	s = b.Settings
	half := max(s.Rounds/2, 2)
	b.together(load{n: 100, echo: true}, scenarioPlan{small, s.Rounds, b.echoes(64)})
	b.together(load{n: 10, echo: true}, scenarioPlan{large, half, b.echoes(64 << 10)})
	b.together(load{n: s.Few}, scenarioPlan{few, half, b.broadcast(1)})
	b.together(load{n: s.Subs}, scenarioPlan{single, s.Rounds, b.broadcast(1)}, scenarioPlan{burst, half, b.broadcast(100)})
	b.together(load{n: s.Subs, deflate: true}, scenarioPlan{deflated, half, b.broadcast(1)})
	b.alone(load{n: s.Many, warm: 200}, scenarioPlan{idle, 1, rest})
	b.alone(load{n: s.Many, warm: 200, echo: true}, scenarioPlan{bare, 1, rest})
	b.alone(load{n: s.Many}, scenarioPlan{many, half, b.broadcast(1)})
	b.alone(load{n: 10 * s.Rooms, rooms: s.Rooms}, scenarioPlan{rooms, half, b.broadcast(1)})
	return &b.Result, nil
}
