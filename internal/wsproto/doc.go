// Package wsproto is the WebSocket protocol without I/O: frames, the opening handshake and permessage-deflate as pure
// functions and small state machines. It starts no goroutine, calls no user code and waits for nothing, so that whoever
// has bytes, a goroutine with a connection or a shard with a shared buffer, can use it.
//
// # Frames
//
// A [Parser] takes bytes as they come, cut anywhere, and yields pieces of payload that alias what it was given,
// unmasked in place. Everything that RFC 6455 forbids is refused with an [*Error] that carries a close code, as soon as
// the bytes show it and before anything is allocated for it. [AppendFrame] and [AppendClose] are the other direction.
//
// # Handshake
//
// [Check] says whether a request may become a WebSocket, or how it is refused. [Negotiate] answers offers of
// permessage-deflate to the letter of RFC 7692 7.1.
//
// # Compression
//
// A [Deflater] and an [Inflater] are what one connection knows of its two directions. Between messages they hold the
// window of a negotiated context takeover and nothing else: encoders and decoders are pooled.
package wsproto
