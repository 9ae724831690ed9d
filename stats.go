package celeris

import "github.com/goceleris/celeris/engine"

// Stats are a server's counters since its start, and gauges of the moment. They are read one after another, so that
// two of them may differ by what happened in between.
type Stats struct {
	// Engine is what streams are parked on: "epoll", "iouring", or "sim" in tests; "std" means that each has a goroutine.
	Engine string `json:"engine"`
	// Shards is how many goroutines drive the parked streams.
	Shards int `json:"shards"`

	// Streams is how many are open: parked ones, and portable ones, which have a goroutine each.
	Streams         int `json:"streams"`
	ParkedStreams   int `json:"parked_streams"`
	PortableStreams int `json:"portable_streams"`
	// RefusedStreams is how many of the parked ones have a connection that takes no bytes now.
	RefusedStreams int `json:"refused_streams"`
	// OpenedStreams and EndedStreams count all streams that ever began and ended; Ends tells how, and leaves out what
	// never happened.
	OpenedStreams int64                    `json:"opened_streams"`
	EndedStreams  int64                    `json:"ended_streams"`
	Ends          map[engine.EndKind]int64 `json:"ends"`
	// TurnedAway counts the streams that were not accepted.
	TurnedAway TurnedAway `json:"turned_away"`
	// StreamBytes is how many bytes the connections of all streams took.
	StreamBytes int64 `json:"stream_bytes"`

	// Passes is how often shards went through the streams that had something to send, and Sends how many offers they
	// made to connections; of Refusals the connection did not take all (EAGAIN). Portable streams are not counted.
	Passes       int64   `json:"passes"`
	Sends        int64   `json:"sends"`
	SendsPerPass float64 `json:"sends_per_pass"` // 0 before the first pass
	Refusals     int64   `json:"refusals"`

	// Requests is how many requests are being answered. One that became a stream is not among them.
	Requests int `json:"requests"`
	// Handlers is how many handlers of streams run, on goroutines of their own.
	Handlers int `json:"handlers"`
	// Callbacks is how many goroutines run callbacks about the ends of parked streams, [Config.MaxCallbacks] at most
	// and as many again that take longer than a minute, and CallbacksWaiting how many callbacks wait for one of them.
	Callbacks        int `json:"callbacks"`
	CallbacksWaiting int `json:"callbacks_waiting"`
}

// TurnedAway counts streams that were not accepted, by the reason.
type TurnedAway struct {
	Draining   int64 `json:"draining"`    // a shutdown had begun
	ServerFull int64 `json:"server_full"` // MaxStreams was reached
	ClientFull int64 `json:"client_full"` // MaxStreamsPerClient was reached
}

// Stats returns the counters and gauges of this moment. It may be called at any time by any goroutine, and costs no more
// with many streams than with few.
func (s *Server) Stats() Stats {
	st := Stats{
		Engine: string(engine.Std), Streams: s.host.Len(), OpenedStreams: s.host.Opened(), Ends: s.host.Ends(),
		StreamBytes: s.host.Written().Load(),
	}
	if e := s.parking.now(); e != nil {
		es := e.Stats()
		st.Engine, st.Shards = e.Name(), es.Shards
		st.ParkedStreams, st.RefusedStreams = min(es.Streams, st.Streams), es.Refused
		st.Passes, st.Sends, st.Refusals = es.Passes, es.Sends, es.Refusals
		st.StreamBytes += es.Bytes
	}
	st.PortableStreams = st.Streams - st.ParkedStreams
	if st.Passes > 0 {
		st.SendsPerPass = float64(st.Sends) / float64(st.Passes)
	}
	for _, n := range st.Ends {
		st.EndedStreams += n
	}
	// The goroutine of a request that became a portable stream drives it.
	st.Requests = max(0, int(s.inflight.n.Load())-st.PortableStreams)
	refused := s.host.Refused()
	st.TurnedAway = TurnedAway{Draining: refused.Draining, ServerFull: refused.Server, ClientFull: refused.Client}
	st.Callbacks, st.CallbacksWaiting = s.host.Callbacks()
	for _, n := range s.host.Running() {
		st.Handlers += n
	}
	st.Handlers = max(0, st.Handlers-st.Callbacks-st.CallbacksWaiting) // they count as code of their route
	return st
}
