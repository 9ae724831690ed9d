// Package redislog keeps the history of event streams in Redis Streams: a durable [sse.ReplayStore] that several
// processes share.
//
// # Usage
//
//	client := redis.NewClient(&redis.Options{Addr: "localhost:6379"})
//	history, err := redislog.New(redislog.Config{Client: client, Prefix: "app:events:"})
//	...
//	broker, err := sse.NewBroker(sse.BrokerConfig{ReplayStore: history})
//
// A [Log] is an [sse.Follower], so that every process which shares the Redis sees what all of them publish, and an
// [sse.Rotator]. It needs Redis 6.2 or later, and works with a single server, with sentinels and with a cluster.
//
// # Keys
//
// A stream has two keys, <prefix>{<name>}:log and <prefix>{<name>}:state, in the same slot of a cluster. Both expire
// when nobody has opened, followed or appended to the stream for the TTL. The first is a Redis Stream of
// batches of records, trimmed to about MaxLen records; the second a hash with the epoch and the newest entry. Each entry
// names the one before it: so a reader notices a gap, whatever has made it. If the two keys don't fit together, because one was deleted, evicted
// or written by something else, the stream starts anew in another epoch.
//
// # Positions
//
// A position is the milliseconds of a Redis ID shifted by 20 bits, plus a number within the millisecond. The ID of an
// entry is the position of its last record; those before have the numbers before. The server's clock decides; if it
// jumps back, positions go on from the newest one.
//
// # Appending
//
// Appends to one stream share round trips: while a batch is under way the next one gathers. A batch is one script, which
// Redis runs as a whole or not at all, and is never sent twice. A caller whose context ends while its record waits for
// its turn takes it back; once the record was sent the outcome is [sse.ErrOutcomeUnknown].
//
// # When Redis fails
//
// Every error wraps what the client reported. An append that Redis refused (out of memory, read-only, loading) or that
// never reached it has not happened; one whose answer was lost is [sse.ErrOutcomeUnknown]. Follow ends with an error and
// may be called again at once. Nothing here retries an append. How long a call waits for a server that says nothing is
// decided by its context, and in the background by the client's ReadTimeout.
//
// What Redis itself forgets after a crash depends on its persistence: docs/replay.md.
package redislog
