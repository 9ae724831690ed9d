package main

import (
	"errors"
	"strings"

	"github.com/goceleris/celeris/test/benchkit"
)

// floors compiles the floor into dir and returns its designs. An error says which are missing, and why.
func floors(dir string) ([]design, error) {
	program, err := benchkit.CompileFloor(dir)
	if err != nil {
		return nil, err
	}
	all := []design{
		{Name: "c-send", Label: "C, send", Kind: floor, Flushes: true, program: program},
		{Name: "c-coalesced", Label: "C, coalesced send", Kind: floor, program: program},
	}
	ring := design{Name: "c-uring", Label: "C, io_uring, coalesced", Kind: floor, program: program}
	cmd := ring.command()
	cmd.Stdin = strings.NewReader("") // so it ends at once
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return all, errors.New("C has no io_uring here: " + strings.TrimSpace(stderr.String()))
	}
	return append(all, ring), nil
}
