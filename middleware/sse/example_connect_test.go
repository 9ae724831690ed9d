package sse_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

func ExampleConnect() {
	// Any server: this one ends its stream after each event, and for good after the third.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := map[string]string{"": "1", "1": "2", "2": "3"}[r.Header.Get("Last-Event-ID")]
		if next == "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "retry: 10\nid: %s\ndata: event %s\n\n", next, next)
	}))
	defer server.Close()

	r, err := http.NewRequest(http.MethodGet, server.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	source := sse.Connect(r.Context(), r, &sse.ConnectOptions{
		Backoff:     10 * time.Millisecond,
		RetryStatus: sse.IsTemporary,
		OnReconnect: func(again sse.Reconnect) { fmt.Println("again from", again.LastEventID) },
	})
	for event, err := range source.Events() {
		if err != nil {
			log.Fatal(err)
		}
		if resync, ok := sse.ParseResync(event); ok {
			fmt.Println("lost events:", resync.Reason) // fetch the state afresh
			continue
		}
		fmt.Println(event.Data)
	}
	// Output:
	// event 1
	// again from 1
	// event 2
	// again from 2
	// event 3
	// again from 3
}
