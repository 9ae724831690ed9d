// Benchcmp_sse compares the delivery of server-sent events: Celeris on each of its engines, the Go servers that a user
// would pick in its place, and a floor in C that does nothing but send.
//
// Every server is a process of its own, obeys the protocol of serve.go on its standard input and output, and is read by
// a client in another process (test/loadgen). The root module's "go tool mage BenchcmpSSE" runs all of it and writes
// the benchmarks' page anew. It is a module of its own so that what it compares with stays out of the framework's.
package main
