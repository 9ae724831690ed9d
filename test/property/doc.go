// Package property holds the test of the promise that event streams make: a client that comes back continues without
// a gap and without a repetition, or is told.
//
// # The run
//
// Publishers write a plan, made from a seed, to several topics of one broker. Clients follow random sets of topics over
// real sockets, half of them on HTTP/1.1, by each of the engines, and half on cleartext HTTP/2. Their connections and streams are cut abruptly
// after random numbers of bytes; they come back with the last id that they parsed, at once, a little later, or when it
// has left the history. What each of them saw is recorded and judged when all is over and the position of every event
// is known.
//
// # The oracle
//
// A position can be resumed from if no topic of the client has a newer event beyond the newest History ones. Events
// are published while a client resumes, so the oracle looks at the counts of events that were published for certain
// before the request was sent, and of those that may have been when the client had caught up. Inside by both means no
// resync, outside by both means exactly one, before any event. In either case every event behind the position where
// the stream goes on arrives once and in order.
//
// Clients never fall out of the history while they are connected: publishers wait for them between batches.
//
// # Mutants
//
// A layer between socket and parser drops, repeats, swaps and forges blocks; the oracle has to report each of these.
//
// # Running
//
// CELERIS_PROPERTY_SEED=n go test ./test/property runs the plan of that seed alone.
package property
