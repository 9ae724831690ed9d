package engine

// Stats are counters and gauges of an engine.
type Stats struct {
	Shards   int   // goroutines that drive streams
	Streams  int   // parked now
	Refused  int   // of them, those whose connection takes no bytes now
	Passes   int64 // how often the ready streams were gone through
	Sends    int64 // offers to a connection
	Refusals int64 // offers of which it did not take all
	Bytes    int64 // that connections took
	Received int64 // bytes of peers that are listened to
}
