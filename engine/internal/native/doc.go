// Package native is what the engines for Linux share: connections that are bare descriptors ([Conn]), the epoll instance
// that tells what happened to them ([Poller]), and an [Engine] of several shards. How bytes are sent is left to the
// packages epoll and iouring.
//
// # Descriptors
//
// A connection is taken over from package net: its descriptor is duplicated and the [net.Conn] closed, so that nothing
// else in the process knows the socket. From then on only the shard that owns it sends on it and closes it. It leaves
// epoll before it is closed, and what epoll tells carries a generation: a number that is given out again never gets what
// was meant for its predecessor.
//
// # Waiting
//
// The epoll descriptor sits in Go's own poller. A goroutine waits there for the shard, so that no thread is held; the
// shard itself waits for that goroutine, for wake-ups and for its timers at once.
package native
