package benchkit

// Counters is the answer to "stats".
type Counters struct {
	CPU        int64 `json:"cpu_ns"`
	RSS        int64 `json:"rss"`
	Goroutines int   `json:"goroutines"`
	Dropped    int64 `json:"dropped"`
	// Log is what the server says about how it runs.
	Log string `json:"log,omitempty"`
}
