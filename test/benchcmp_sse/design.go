package main

import (
	"net"
	"os/exec"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/test/benchkit"
)

// server is a design under test, in its own process.
type server interface {
	// Serve serves /events/<topic>.
	Serve(l net.Listener) error
	// Publish publishes one event to a topic. overhead is what its wire form has beside the data line and the blank
	// line, so that all designs send the same number of bytes.
	Publish(topic string, data []byte) error
	Overhead() int
	// Dropped counts deliveries that the design gave up.
	Dropped() int64
}

// kind says what a design is for the comparison.
type kind string

const (
	ours  kind = "ours"
	peer  kind = "peer"
	floor kind = "floor"
)

// design is one way to deliver events.
type design struct {
	Name  string `json:"name"`
	Label string `json:"label"`
	Kind  kind   `json:"kind"`
	// Flushes means that it writes to each connection for each event.
	Flushes bool `json:"flushes"`
	start   func() (server, error)
	program string // of the floor in C
}

// designs returns what is compared, but for the floor in C.
func designs() []design {
	return []design{
		{Name: "go-hijack", Label: "Go, hijacked, Write", Kind: floor, Flushes: true, start: newHijack},
		{Name: "celeris-epoll", Label: "Celeris, epoll", Kind: ours, start: celerisOn(engine.Epoll)},
		{Name: "celeris-iouring", Label: "Celeris, io_uring", Kind: ours, start: celerisOn(engine.IOUring)},
		{Name: "celeris-std", Label: "Celeris, portable", Kind: ours, start: celerisOn(engine.Std)},
		{Name: "go-sse", Label: "tmaxmax/go-sse, Joe", Kind: peer, Flushes: true, start: newGoSSE},
		{Name: "r3labs", Label: "r3labs/sse", Kind: peer, Flushes: true, start: newR3Labs},
		{Name: "hub", Label: "net/http hub, flush each", Kind: peer, Flushes: true, start: newHub},
		{Name: "hub-drain", Label: "net/http hub, drain then flush", Kind: peer, start: newHubDrain},
	}
}

// command returns how to start the design's process.
func (d design) command() *exec.Cmd {
	if d.program != "" {
		return exec.Command(d.program, d.Name[len("c-"):])
	}
	return benchkit.Role("serve " + d.Name)
}
