package celeris

import "net"

// InheritedListener is a listening socket that the process was started with.
type InheritedListener struct {
	net.Listener
	// Name is what LISTEN_FDNAMES calls the socket; systemd takes it from FileDescriptorName= of the .socket unit. It is
	// empty if there is none.
	Name string
}

// Listeners returns the listening sockets that the process was started with, by the protocol of systemd's socket
// activation (sd_listen_fds(3)): LISTEN_FDS descriptors from 3 on, if LISTEN_PID is this process. They are closed on
// exec from then on, and are what they were made: options and backlog are those of their maker.
//
// They belong to whoever calls first: the environment variables are removed, so that neither a second call nor a
// process started from this one finds them. [Server.Start] and [Server.StartContext] call it. Without such sockets, on
// systems other than Linux always, it returns nothing. An error means that the variables make no sense, or that a
// descriptor is not a listening stream socket; then none is returned, and those that were fine are closed.
func Listeners() ([]InheritedListener, error) { return inherited() }
