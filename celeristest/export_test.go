package celeristest

import "github.com/goceleris/celeris/middleware/sse"

// Arrive is what the stream does with an event that it has read.
func (s *Stream) Arrive(e sse.Event) error { return s.arrived(e) }
