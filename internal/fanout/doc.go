// Package fanout is the delivery core under every broker: append-only logs of wire frames, one per topic,
// and members that read them by cursor.
//
// # Usage
//
// A [Core] owns the logs. [Core.Publish] appends a frame to the logs of its topics and returns; it touches
// no member and costs the same for any number of them. A [Member] is one reader. Whoever drives it (a
// goroutine, a shard) asks [Member.Next] for what is due, sends it, and sleeps when nothing is; the [Driver]
// is woken when there may be more.
//
// # Order
//
// A [Position] names a point in the whole of a core, not an event of a topic. Position and append happen
// under one lock, and the core's head becomes visible last: no lower position ever appears behind a higher
// one. A pass samples the head once and takes what lies in (cursor, head] from every topic of its member,
// merged by position, each frame once. Private frames carry the head at their call as a barrier: they go
// out behind every frame up to it and before every later one.
//
// # Membership
//
// A member belongs to a topic for an interval of positions (joined, left]. Both ends are taken under the
// core's lock, so what was published before Join or Leave returned is decided by it, whatever passes are
// doing.
//
// # Retention
//
// Retention alone frees memory; cursors pin nothing. A member whose next frame has been freed is told with a
// notice that carries a new position. A dropped topic leaves the newest position it forgot in a floor, from
// which a new log of that name starts.
//
// # Sources
//
// A log may mirror one that somebody else keeps: [Core.Insert] takes frames with their positions, [Core.Skip] passes what is
// lost, [Core.Keep] holds what is not safe yet, [Core.Rotate] begins another epoch, with every membership. A [Source] then
// serves members that are behind memory: a member reads shared chunks of it until memory has what comes next.
//
// # Slow members
//
// A member is slow when its transport refuses bytes while more is due than the limits allow, and it has once
// been within them. So a burst never makes a fast reader slow, and a replay is not a lag. The pump, which finds that out,
// spends three percent of its time on it at most: with many members that lag far, each of them is noticed later.
//
// # Concurrency
//
// Core.mu comes before Member.mu, and the lock of the reads from a source behind both. Nothing of anybody else is called under either, except [Driver.Wake],
// which must not block. A log is read without a lock: segments are immutable below their published count.
package fanout
