package testserver

import (
	"net"
	"os"
	"strconv"
)

// single is a server that is one process with one address.
type single struct {
	// Addr is the host and port where it listens, the same after each Start.
	Addr string

	process process
}

// begin starts the server for the first time, at an address that is free.
func (s *single) begin() {
	s.process.t.Helper()
	s.process.begin(func() { s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(s.process.t))) })
}

// port is that of Addr.
func (s *single) port() string {
	_, port, _ := net.SplitHostPort(s.Addr) // begin joined them
	return port
}

// Kill ends the server with SIGKILL and returns when it has gone. It does nothing when the server isn't running.
func (s *single) Kill() {
	s.process.t.Helper()
	s.process.stop(os.Kill)
}

// Start starts the server again, at the same address and with what it has on disk, and returns when it answers.
func (s *single) Start() {
	s.process.t.Helper()
	if err := s.process.start(); err != nil {
		s.process.t.Fatalf("testserver: %v\n%s", err, s.process.log())
	}
}

// Pause halts the server with SIGSTOP: connections to it are accepted by the system, and nothing answers.
func (s *single) Pause() {
	s.process.t.Helper()
	s.process.signal(sigStop)
}

// Resume lets a paused server go on.
func (s *single) Resume() {
	s.process.t.Helper()
	s.process.signal(sigCont)
}
