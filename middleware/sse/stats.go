package sse

// BrokerStats are a broker's counters since its start, and gauges of the moment.
type BrokerStats struct {
	Subscribers     int   `json:"subscribers"`
	Topics          int   `json:"topics"`
	HistoryEvents   int   `json:"history_events"`
	HistoryBytes    int   `json:"history_bytes"`
	Callbacks       int   `json:"callbacks"` // running now
	Published       int64 `json:"published"`
	Delivered       int64 `json:"delivered"`       // events handed to subscribers' connections
	DeliveredBytes  int64 `json:"delivered_bytes"` // theirs, with their ids
	Dropped         int64 `json:"dropped"`         // events skipped by resyncs, as far as they could be counted
	Superseded      int64 `json:"superseded"`      // events skipped by BrokerPolicyLatest
	Resyncs         int64 `json:"resyncs"`
	Removed         int64 `json:"removed"` // by BrokerPolicyRemove
	Closed          int64 `json:"closed"`  // by BrokerPolicyClose
	CallbackPanics  int64 `json:"callback_panics"`
	ThrottledEvents int64 `json:"throttled_events"` // publishes that had to wait for the delivery of others

	// With a ReplayStore:
	StoreAppends    int64 `json:"store_appends"`
	StoreErrors     int64 `json:"store_errors"`      // failed appends, and losses of the connection that follows
	StoreReads      int64 `json:"store_reads"`       // for subscribers that resume from behind the history in memory
	WaitingForStore int   `json:"waiting_for_store"` // subscribers, now
	WithoutStore    int64 `json:"without_store"`     // events that went out without an id, see StoreOptional
	Epochs          int64 `json:"epochs"`            // how often the stream began a new epoch
}

// Evictions is how many subscribers policies took the topics or the stream from.
func (s BrokerStats) Evictions() int64 { return s.Removed + s.Closed }

// Stats returns the counters and gauges of this moment. It costs no more with many subscribers than with few.
func (b *Broker) Stats() BrokerStats {
	s := b.core.Stats()
	st := BrokerStats{
		Subscribers: s.Members, Topics: s.Topics, HistoryEvents: s.HistoryFrames, HistoryBytes: s.HistoryBytes,
		Callbacks: s.Callbacks, Published: s.Published, Delivered: s.Delivered, DeliveredBytes: s.DeliveredBytes, Dropped: s.Dropped, Superseded: s.Superseded,
		Resyncs: s.Resyncs, Removed: s.Removed, Closed: s.Closed, CallbackPanics: s.CallbackPanics,
		ThrottledEvents: s.Throttled, StoreReads: s.SourceReads, WaitingForStore: s.Waiting,
	}
	if m := b.mirror; m != nil {
		st.StoreAppends, st.StoreErrors = m.stats.appends.Load(), m.stats.failures.Load()
		st.WithoutStore, st.Epochs = m.stats.live.Load(), m.stats.rotations.Load()
	}
	return st
}

// CallbackPanics returns how many panics of user code that ran for this broker's clients were contained.
func (b *Broker) CallbackPanics() int64 { return b.core.Stats().CallbackPanics }

// LagStats counts a broker's subscribers by how many events each is behind: published and not yet handed to its
// connection, or lost and not yet told. No subscriber is counted twice.
type LagStats struct {
	Subscribers int `json:"subscribers"` // all of them
	Current     int `json:"current"`     // behind by nothing
	UpTo10      int `json:"up_to_10"`    // by 1 to 10 events
	UpTo100     int `json:"up_to_100"`   // by 11 to 100
	UpTo1000    int `json:"up_to_1000"`  // by 101 to 1000
	UpTo10000   int `json:"up_to_10000"` // by 1001 to 10,000
	More        int `json:"more"`        // by more than that
	Unknown     int `json:"unknown"`     // by more than the history can count
	Max         int `json:"max"`         // the most events of all that can be counted
}

// Lag looks at every subscriber, one after the other, while the broker works on: a microsecond for each or less.
// The numbers are those of the moment at which each was looked at.
func (b *Broker) Lag() LagStats {
	var s LagStats
	for n, known := range b.core.Behind() {
		s.Subscribers++
		if !known {
			s.Unknown++
			continue
		}
		s.Max = max(s.Max, n)
		switch {
		case n == 0:
			s.Current++
		case n <= 10:
			s.UpTo10++
		case n <= 100:
			s.UpTo100++
		case n <= 1000:
			s.UpTo1000++
		case n <= 10_000:
			s.UpTo10000++
		default:
			s.More++
		}
	}
	return s
}
