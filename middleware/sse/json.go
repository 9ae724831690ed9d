package sse

import (
	"fmt"

	"github.com/goccy/go-json"
)

// JSON returns an event of the given type whose data is v as JSON on a single
// line. The type is checked when the event is encoded, not here. An error is
// what the JSON encoder said about v, wrapped.
func JSON(event string, v any) (Event, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Event{}, fmt.Errorf("sse: encode data of event %q: %w", event, err)
	}
	return Event{Event: event, Data: string(data)}, nil
}
