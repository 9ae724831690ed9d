package sse

import "github.com/goceleris/celeris/engine"

// drain is a stream as a server's shutdown sees it.
type drain visit

var _ engine.Stream = (*drain)(nil)

// Drain implements [engine.Stream].
func (d *drain) Drain(reason error) { d.say(reason, true) }

// Cut implements [engine.Stream].
func (d *drain) Cut(reason error) { d.member.Cut(reason) }
