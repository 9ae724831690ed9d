package chaos

import (
	"fmt"
	"os"
	"testing"

	"github.com/goceleris/celeris/internal/leak"
)

// lastLine is what the program ends with, if the test of the whole has run.
var lastLine string

func TestMain(m *testing.M) {
	if redis := os.Getenv(nodeVariable); redis != "" {
		if err := runNode(redis, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	leak.Main(m)
}
