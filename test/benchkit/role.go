package benchkit

import (
	"os"
	"os/exec"

	"github.com/goceleris/celeris/test/loadgen"
)

// roleEnv makes a process of a benchmark's program one of its parts.
const roleEnv = "BENCHCMP_ROLE"

// Part runs this process as the part that it is, until its standard input ends: the client, or what serve makes of another
// role. It reports false for the benchmark itself.
func Part(serve func(role string) error) (ok bool, err error) {
	switch role := os.Getenv(roleEnv); role {
	case "":
		return false, nil
	case "client":
		if _, err := loadgen.FileLimit(); err != nil {
			return true, err
		}
		return true, loadgen.Serve(os.Stdin, os.Stdout)
	default:
		return true, serve(role)
	}
}

// Client returns how to start the client.
func Client() *exec.Cmd { return Role("client") }

// Role returns how to start another part.
func Role(role string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}
