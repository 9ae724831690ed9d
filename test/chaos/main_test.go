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
	if v := os.Getenv(nodeVariable); v != "" {
		addr, maxLen, err := parseNode(v)
		if err == nil {
			err = runNode(addr, maxLen, os.Stdin, os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := leak.Run(m)
	if lastLine != "" {
		fmt.Println(lastLine)
	}
	os.Exit(code)
}
