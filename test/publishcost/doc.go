// Package publishcost holds a benchmark and no code: what Broker.Publish costs its caller while 10, 1000 and 10,000
// streams are open over TCP and have nothing else to do. docs/benchmarks.md tells how it is run and what came out.
package publishcost
