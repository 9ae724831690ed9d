// Package shard is the one logic that drives parked streams: streams that cost no goroutine. A shard owns its
// connections; it alone sends on them and closes them. What it needs of the system is a [Backend].
//
// # A pass
//
// A stream that was woken asks its member for what is due, whole frames, and offers them to its connection in one
// call. What the connection did not take is not due any more only as far as it went out: the member's cursor follows
// the bytes, and the stream keeps a copy of the rest of the one frame that was begun. Nothing else goes out before
// that rest. A connection that refuses bytes is armed, once, and left alone until it takes some again.
//
// # What peers send
//
// It is thrown away, unless the stream has an Inbound: that gets it from a buffer which all of a shard's streams share, some
// of it at a time, and may pause, so that the kernel's buffers fill and the peer has to wait. What it did not take is
// offered again. An answer that can't wait goes out between two frames.
//
// # Timers
//
// Heartbeats, the deadline for progress and the age of a stream hang in one wheel, one entry for each stream. Sending
// does not touch it: an entry that comes up too early is hung further on.
//
// # The end
//
// A stream that is finished sends its farewell, closes its sending side, reads what the peer still has to say, and is
// closed when that is over, a second has passed or 64 KiB have come: a close with unread input would be a reset, which
// destroys what was sent last. A peer that closes its side has left. One that is listened to may say farewell first, within
// Parting; behind its last word its end is no departure.
package shard
