// Package std is the portable stream engine: one goroutine per stream, any operating system, any protocol that
// net/http speaks, any writer that can flush.
//
// # How a stream is driven
//
// The goroutine that serves the request takes what is due, writes all of it, then flushes once: batches grow
// with load by themselves. When nothing is due it sleeps; waking, heartbeat, age and the end of the connection
// are cases of one select.
//
// # Slow and vanished peers
//
// A write is under way in pieces of at most 16 KiB, each with its own deadline, [Config.MaxStall]. A peer that
// accepts one piece in that time makes progress. A pass that has written for 250 ms without getting to the end of
// what is due counts as refused bytes; only then can a stream be judged slow. What waits in a refused write is a copy of at most 16 KiB, or one
// large frame.
//
// The peer's departure ends the request's context. A peer on HTTP/1.1 that sent bytes behind its request is
// noticed only by a failing write; therefore heartbeats cannot be switched off here.
package std
