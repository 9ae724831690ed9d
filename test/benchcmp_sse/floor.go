package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed floor/floor.c
var floorSource []byte

// floors compiles the floor into dir and returns its designs. An error says which are missing, and why.
func floors(dir string) ([]design, error) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		return nil, fmt.Errorf("no C compiler, so there is no floor in C: %w", err)
	}
	source, program := filepath.Join(dir, "floor.c"), filepath.Join(dir, "floor")
	if err := os.WriteFile(source, floorSource, 0o600); err != nil {
		return nil, err
	}
	output, err := exec.Command(cc, "-O2", "-o", program, source).CombinedOutput()
	if err != nil { // perhaps because of the system's headers
		err = exec.Command(cc, "-O2", "-DNO_URING", "-o", program, source).Run()
	}
	if err != nil {
		return nil, fmt.Errorf("the floor in C doesn't compile: %w\n%s", err, output)
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

// compiler says which C compiler made the floor.
func compiler() string {
	output, err := exec.Command("cc", "--version").Output()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(output), "\n")
	return first
}
