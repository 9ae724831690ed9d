// Package epoll is the engine that parks streams on Linux: no goroutine, no buffer and no net.Conn for a stream, but a
// descriptor and a place in a log. A [github.com/goceleris/celeris.Server] uses it by itself; see the Engine field of its
// Config.
package epoll
