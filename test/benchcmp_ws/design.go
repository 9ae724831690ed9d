package main

import (
	"net"
	"os/exec"

	"github.com/goceleris/celeris/engine"
	"github.com/goceleris/celeris/test/benchkit"
)

// server is a design under test, in its own process.
type server interface {
	// Serve serves /ws/<room>, where clients get what is published, and /echo.
	Serve(l net.Listener) error
	// Publish sends a text message to all in a room.
	Publish(room string, data []byte) error
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

// design is one way to serve WebSockets.
type design struct {
	Name  string `json:"name"`
	Label string `json:"label"`
	Kind  kind   `json:"kind"`
	// start makes the server. With deflate it compresses what it publishes for clients that offer that.
	start   func(deflate bool) (server, error)
	packs   bool   // it can do that
	program string // of the floor in C
}

// designs returns what is compared, but for the floor in C.
func designs() []design {
	return []design{
		{Name: "celeris-epoll", Label: "Celeris, epoll", Kind: ours, start: celerisOn(engine.Epoll), packs: true},
		{Name: "celeris-iouring", Label: "Celeris, io_uring", Kind: ours, start: celerisOn(engine.IOUring), packs: true},
		{Name: "celeris-std", Label: "Celeris, portable", Kind: ours, start: celerisOn(engine.Std), packs: true},
		{Name: "celeris-handler", Label: "Celeris, Handler", Kind: ours, start: celerisHandler, packs: true},
		{Name: "gorilla", Label: "gorilla/websocket, hub by hand", Kind: peer, start: newGorilla, packs: true},
		{Name: "coder", Label: "coder/websocket, hub by hand", Kind: peer, start: newCoder, packs: true},
		{Name: "gws", Label: "lxzan/gws, Broadcaster", Kind: peer, start: newGWS, packs: true},
		{Name: "gobwas", Label: "gobwas/ws, hub by hand", Kind: peer, start: newGobwas},
		{Name: "melody", Label: "olahol/melody", Kind: peer, start: newMelody, packs: true},
	}
}

// floors compiles the floor into dir and returns its designs. An error says why there are none.
func floors(dir string) ([]design, error) {
	program, err := benchkit.CompileFloor(dir, "-DWEBSOCKET")
	if err != nil {
		return nil, err
	}
	return []design{
		{Name: "c-send", Label: "C, send", Kind: floor, program: program},
		{Name: "c-coalesced", Label: "C, coalesced send", Kind: floor, program: program},
	}, nil
}

// command returns how to start the design's process.
func (d design) command(deflate bool) *exec.Cmd {
	if d.program != "" {
		return exec.Command(d.program, d.Name[len("c-"):])
	}
	role := "serve "
	if deflate {
		role = "deflate "
	}
	return benchkit.Role(role + d.Name)
}
