package chaos

import (
	"net/http"
	"sync/atomic"

	"github.com/goceleris/celeris/middleware/sse"
)

// mutant is a server that goes wrong when a client resumes, or looks so: it is told another position than the client's.
type mutant struct {
	kind   string // "resync", "skip" or "repeat"
	ledger *ledger
	used   atomic.Int64
}

// over returns a transport that does it; a nil mutant does nothing.
func (m *mutant) over(transport http.RoundTripper, topics set) http.RoundTripper {
	if m == nil {
		return transport
	}
	return mutation{m, transport, topics}
}

type mutation struct {
	*mutant
	transport http.RoundTripper
	topics    set
}

// RoundTrip implements [http.RoundTripper].
func (m mutation) RoundTrip(r *http.Request) (*http.Response, error) {
	epoch, position, err := sse.ParseID(r.Header.Get("Last-Event-ID"))
	if err == nil {
		if id := m.instead(epoch, position); id != "" {
			m.used.Add(1)
			r = r.Clone(r.Context())
			r.Header.Set("Last-Event-ID", id)
		}
	}
	return m.transport.RoundTrip(r)
}

// instead returns what is asked for in place of a position, or "" if there is nothing to go wrong with.
func (m mutation) instead(epoch string, position uint64) string {
	if n, _ := m.ledger.count(); n > m.ledger.events*9/10 {
		return "" // a client that skips the last event would never be at the end
	}
	if m.kind == "resync" {
		return sse.FormatID("another", position)
	}
	before, after := m.ledger.around(position, m.topics)
	switch {
	case m.kind == "repeat" && before > 0:
		return sse.FormatID(epoch, before)
	case m.kind == "skip" && after > 0:
		return sse.FormatID(epoch, after)
	}
	return ""
}
