package benchkit

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed floor/floor.c
var floorSource []byte

// CompileFloor compiles the floor into dir, with more flags for the compiler, and returns its program.
func CompileFloor(dir string, flags ...string) (program string, err error) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		return "", fmt.Errorf("no C compiler, so there is no floor in C: %w", err)
	}
	source, program := filepath.Join(dir, "floor.c"), filepath.Join(dir, "floor")
	if err := os.WriteFile(source, floorSource, 0o600); err != nil {
		return "", err
	}
	flags = append(flags, "-O2", "-o", program, source)
	output, err := exec.Command(cc, flags...).CombinedOutput()
	if err != nil { // perhaps because of the system's headers
		err = exec.Command(cc, append(flags, "-DNO_URING")...).Run()
	}
	if err != nil {
		return "", fmt.Errorf("the floor in C doesn't compile: %w\n%s", err, output)
	}
	return program, nil
}

// Compiler says which C compiler made the floor.
func Compiler() string {
	output, err := exec.Command("cc", "--version").Output()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(output), "\n")
	return first
}
