//go:build linux

package benchkit

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if ok, err := Part(part); ok {
		if err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// waiting is a server that does nothing.
type waiting struct{}

func (waiting) Serve(l net.Listener) error {
	for {
		if _, err := l.Accept(); err != nil {
			return err
		}
	}
}

func part(role string) error {
	return Control(waiting{}, func(line string) (string, error) {
		switch line {
		case "stats":
			return Counters{Dropped: 3, Log: role}.Line()
		case "double 21":
			return "doubled 42", nil
		}
		return "", errors.New("what?")
	}, os.Stdin, os.Stdout)
}

func TestProcess_ObeysAndTellsWhatItUses(t *testing.T) {
	p, err := StartProcess(Role("a part"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(p.Addr, "127.0.0.1:") {
		t.Errorf("it listens on %q", p.Addr)
	}
	var n int
	if err := p.Ask("double 21", "doubled %d", &n); err != nil || n != 42 {
		t.Errorf("got %d, %v", n, err)
	}
	c, err := p.Stats()
	if err != nil || c.CPU <= 0 || c.RSS <= 0 || c.Goroutines < 2 || c.Dropped != 3 || c.Log != "a part" {
		t.Errorf("got %+v, %v", c, err)
	}
	if err := p.Ask("nonsense", "done"); err == nil {
		t.Error("nonsense is obeyed")
	}
	if err := p.Stop(); err == nil {
		t.Error("a server that failed ends as if it had not")
	}
}

func TestQuantile_InterpolatesBetweenNeighbours(t *testing.T) {
	for q, want := range map[float64]float64{0: 1, 0.5: 2.5, 1: 4, 0.25: 1.75} {
		if got := Quantile([]float64{4, 1, 3, 2}, q); got != want {
			t.Errorf("quantile %v: got %v, want %v", q, got, want)
		}
	}
	if got := Median(nil); got == got {
		t.Errorf("of nothing: %v", got)
	}
}

func TestFigure_HasThreeDigitsThatMeanSomething(t *testing.T) {
	for v, want := range map[float64]string{1234.5: "1234", 99.46: "99.5", 1.234: "1.23", 0.00123: "0.0012", 2: "2", Nothing: "n/a"} {
		if got := Figure(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
}

func TestCompileFloor_MakesBothKinds(t *testing.T) {
	if Compiler() == "" {
		t.Skip("SKIPPED, the floor was not compiled: there is no cc")
	}
	for _, flags := range [][]string{nil, {"-DWEBSOCKET"}} {
		if _, err := CompileFloor(t.TempDir(), flags...); err != nil {
			t.Errorf("%v: %v", flags, err)
		}
	}
}
