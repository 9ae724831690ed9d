// Package chaos takes brokers that share one Redis apart while clients read, and judges what the clients saw.
//
// # Usage
//
//	go tool mage Chaos
//
// starts three processes, each a server with a broker on one stream of a private redis-server, has CHAOS_EVENTS (50000)
// events published through all of them to CHAOS_CLIENTS (100) clients, and prints the seed of its choices, which
// CHAOS_SEED takes again. The plan of faults, who cuts where and who goes to which process follow from the seed; how
// threads and the network interleave does not. The tests run a short form of the same.
//
// # Faults
//
// Connections of clients are cut at random bytes, with and without a reset; the client goes on at any process.
// Processes are killed with SIGKILL and started again. Redis is killed likewise, and paused.
//
// # What is judged
//
// Every event carries a counter. The publisher knows for each whether it was acknowledged, refused (it is then
// published again) or left open by a process that died. What is in the stream, in its order, is the truth; what was
// acknowledged has to be in it, under the id that was acknowledged, and nothing twice. A client has to see all events of
// its topics in this order and once, but for what it was told by a resync that it lost; a resync is needless if
// the store still had everything the client asked for.
//
// The last line is CHAOS and the figures.
package chaos
