// Package wsspec checks that a server speaks WebSocket as RFC 6455 and RFC 7692 have it: raw bytes over a connection,
// one case for each thing that a section demands.
//
// # Usage
//
// The server under test echoes every message with its type. [Run] runs all cases as subtests, [Check] returns what
// failed, for servers that are known to deviate.
//
//	wsspec.Run(t, wsspec.Target{Dial: dial, Deflate: true, ReadLimit: 1 << 20})
//
// # What is covered
//
// Cases are named by section. The groups of the Autobahn|Testsuite that they cover:
//
//	4.2.1  the opening handshake, and what it refuses with which status
//	5.2    framing, lengths, reserved bits and opcodes (Autobahn 1, 3, 4)
//	5.4    fragments, and control frames between them (5, 10)
//	5.5    ping, pong and the close handshake (2, 7)
//	7.4    status codes (7)
//	8.1    UTF-8, refused at the earliest byte that shows it (6)
//	10.4   limits, floods, large messages and very many fragments (9)
//	7692   offers, parameters, context takeover, windows, inflation (12, 13)
//
// The client in here is made of bytes and shares nothing with the server: it has its own frames, its own DEFLATE in both
// directions, and it is strict. What it reads must be unmasked, minimal, well-formed, compressed within the window that
// was negotiated, and end with the server closing first.
package wsspec
