// Package wsfuzz holds Celeris's WebSocket against other implementations of the protocol: the same bytes, the same
// verdict. It is a module of its own so that what it compares with stays out of the framework's.
package wsfuzz
