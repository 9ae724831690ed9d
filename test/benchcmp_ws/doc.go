// Benchcmp_ws compares WebSocket servers: Celeris on each of its engines, the Go libraries that a user would pick in its
// place, each used as its documentation suggests, and a floor in C that does nothing but send.
//
// It works as benchcmp_sse does: every server is a process of its own that obeys the lines of serve.go, and is read by a
// client in another process (test/loadgen). The root module's "go tool mage BenchcmpWS" runs all of it. It is a module of
// its own so that what it compares with stays out of the framework's.
package main
