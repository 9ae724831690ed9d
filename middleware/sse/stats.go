package sse

// BrokerStats are a broker's counters since its start, and gauges of the moment.
type BrokerStats struct {
	Subscribers     int   `json:"subscribers"`
	Topics          int   `json:"topics"`
	HistoryEvents   int   `json:"history_events"`
	HistoryBytes    int   `json:"history_bytes"`
	Callbacks       int   `json:"callbacks"` // running now
	Published       int64 `json:"published"`
	Delivered       int64 `json:"delivered"`  // events handed to subscribers' connections
	Dropped         int64 `json:"dropped"`    // events skipped by resyncs, as far as they could be counted
	Superseded      int64 `json:"superseded"` // events skipped by BrokerPolicyLatest
	Resyncs         int64 `json:"resyncs"`
	Removed         int64 `json:"removed"` // by BrokerPolicyRemove
	Closed          int64 `json:"closed"`  // by BrokerPolicyClose
	CallbackPanics  int64 `json:"callback_panics"`
	ThrottledEvents int64 `json:"throttled_events"` // publishes that had to wait for the delivery of others
}

// Stats returns the counters and gauges of this moment.
func (b *Broker) Stats() BrokerStats {
	s := b.core.Stats()
	return BrokerStats{
		Subscribers: s.Members, Topics: s.Topics, HistoryEvents: s.HistoryFrames, HistoryBytes: s.HistoryBytes,
		Callbacks: s.Callbacks, Published: s.Published, Delivered: s.Delivered, Dropped: s.Dropped, Superseded: s.Superseded,
		Resyncs: s.Resyncs, Removed: s.Removed, Closed: s.Closed, CallbackPanics: s.CallbackPanics,
		ThrottledEvents: s.Throttled,
	}
}

// CallbackPanics returns how many panics of user code that ran for this broker's clients were contained.
func (b *Broker) CallbackPanics() int64 { return b.core.Stats().CallbackPanics }
