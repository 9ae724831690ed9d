//go:build linux

// Command soak has very many clients come, stall, vanish and come back for as long as it is told, and then looks at what
// they saw and at what is left in the server.
//
// # Usage
//
//	go tool mage Soak
//
// runs it for SOAK_TIME (10m) with SOAK_STREAMS (5000) streams at a time on SOAK_ENGINE (the best there is). SOAK_KIND says
// what they are: sse (server-sent events of a Broker) or ws (WebSockets in the rooms of a Hub). The clients are a process
// of their own, which is this program once more.
//
// Of the clients with WebSockets a third compresses, half send messages that have to come back, two of seven are served
// by a Handler and the others by callbacks. They leave with a closing handshake, with a bare end, with a reset or in the
// middle of a frame.
//
// # What it checks
//
// Every event carries its topic and a counter. A client's counters have no gap and no repetition, over all of its
// connections, but where a resync event told of a loss; so it is for what goes to every room. A connection that is too
// slow is closed with 1013, or told of its loss; no other close code is seen but 1000 in reply, behind every message that
// was due to come back. Every client comes to the end of its topic. When all
// streams are closed the server has as many goroutines and descriptors as in the beginning, and no more heap than it had
// with its history full and nobody there, but for places that are kept to be used again.
//
// The last line is SOAK and the figures; the exit status is 1 if something is wrong.
package main
