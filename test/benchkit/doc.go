// Package benchkit is what the benchmarks that compare servers have in common: servers that are processes of their own and
// obey lines on their standard input, a floor in C, and the arithmetic of their results.
//
// A server prints "listening ADDR", then answers each line with one; "stats" with [Counters], "gc" with "gc" when what is
// free has gone back to the system. What else it obeys is the benchmark's.
package benchkit
