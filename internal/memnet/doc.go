// Package memnet is a network in memory for tests: connections with finite buffers, deadlines, half-closes and resets,
// and a reader that stands still on demand.
//
// Whoever waits on a connection waits in a way that testing/synctest sees through, so a minute of a stalled connection
// takes no time in a bubble. A [Listener] and its connections belong to the bubble that they are made in.
package memnet
