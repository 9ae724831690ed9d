package engine

// Kind names a way to drive the streams of a server.
type Kind string

// Kinds of engines. A stream that its server's engine can't park, over HTTP/2 say, is driven by a goroutine of
// its own whatever the kind.
const (
	// Auto is the best that the system has.
	Auto Kind = ""
	// Std has a goroutine for each stream. It is there on every system.
	Std Kind = "std"
	// Epoll parks streams over HTTP/1.1. It needs Linux.
	Epoll Kind = "epoll"
	// IOUring is Epoll with sends in batches. It needs a Linux that has io_uring and allows it.
	IOUring Kind = "iouring"
)
