package benchkit

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"

	"github.com/goceleris/celeris/test/loadgen"
)

// Server is what is under test, in a process of its own.
type Server interface {
	Serve(l net.Listener) error
}

// Control serves on a port of this machine, says which, and has obey answer the lines of in until it ends.
func Control(srv Server, obey func(line string) (string, error), in io.Reader, out io.Writer) error {
	if _, err := loadgen.FileLimit(); err != nil {
		return err
	}
	// As C has it. An MPTCP socket, which net.Listen makes, costs more.
	plain := net.ListenConfig{}
	plain.SetMultipathTCP(false)
	l, err := plain.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }() // ends with the process
	fmt.Fprintf(out, "listening %s\n", l.Addr())
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		answer, err := obey(lines.Text())
		if err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
		fmt.Fprintln(out, answer)
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	default:
		return lines.Err()
	}
}
