// Command celeris is what a user of the framework runs to see it work.
//
//	celeris demo [-addr host:port]
//
// The demo publishes this machine's own vital signs several times a second to one web page, whose red
// button makes the server close that browser's stream: the browser comes back by itself and the page counts
// what it missed and what was replayed. All pages share a wall to paint on, and a switch that adds a slow
// reader which nobody else notices.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

// Exit statuses of the command.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

const usage = `celeris: the streaming-first HTTP framework

Usage:

	celeris demo [-addr host:port]   this machine's vital signs, live in a browser
	celeris help                     this text

Run "celeris demo -h" for the demo's flags.
`

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns its exit status: help that was asked for goes to stdout,
// a usage mistake is explained on stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "demo":
		return runDemo(ctx, args[1:], stdout, stderr)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	fmt.Fprintf(stderr, "celeris: there is no command %q\n\n%s", args[0], usage)
	return exitUsage
}
