// Package sockets holds nothing but tests: event streams on real sockets, in real time, over every way that a stream can
// be driven. What can be told in a bubble of testing/synctest is tested there; here is what only a kernel does: buffers
// that fill, resets, half-closed connections, descriptors that are given out again, cables that are pulled.
//
// # The ways
//
// Streams are parked on epoll and on io_uring, and served by a goroutine over HTTP/1.1 and HTTP/2, in cleartext and over
// TLS. Where the system has no io_uring that way is skipped, loudly.
//
// # Waiting
//
// Tests wait for states. Times are bounds of failure only, but for the tests that are about a time: heartbeats and stall
// deadlines.
//
// # The oracle
//
// Publishers, joins, leaves and private sends run at the same time, so that nobody knows the order of two calls that
// overlap. Each call notes a tick before it and one after it; when all is over, and the position of every event is known,
// the ticks tell between which positions a join, a leave or a private frame lies. Within these bounds a client may have
// got an event or not, but no two of its events may contradict each other. Outside of them what it is due is certain:
//
//	delivered + dropped + superseded = due
//
// for each client, where dropped is what resync events say, and superseded what conflated events say.
package sockets
