package sse

import "github.com/goccy/go-json"

// ParseResync reads the event with which a server of this package tells a client that it lost events: the client should
// fetch afresh what the events were about. It returns false for any other event.
func ParseResync(e Event) (*ResyncError, bool) {
	if e.Event != "resync" {
		return nil, false
	}
	var data struct {
		Dropped *int   `json:"dropped"`
		Reason  string `json:"reason"`
	}
	err := json.Unmarshal([]byte(e.Data), &data)
	if ok := err == nil && data.Dropped != nil && data.Reason != ""; !ok {
		return nil, false
	}
	return &ResyncError{Reason: data.Reason, Dropped: *data.Dropped, ID: e.ID}, true
}
