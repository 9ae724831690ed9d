package sse_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

func TestNew_MistakesPanic(t *testing.T) {
	b := newBroker(t, sse.BrokerConfig{})
	handler := func(*sse.Client) {}
	key := func(*celeris.Context) (string, error) { return "", nil }
	for _, tt := range []struct {
		cfg  sse.Config
		want string
	}{
		{sse.Config{}, "neither Handler nor Broker"},
		{sse.Config{Handler: handler, Broker: b}, "both Handler and Broker"},
		{sse.Config{Handler: handler, Topics: on("a")}, "Topics"},
		{sse.Config{Handler: handler, ReplayStore: sse.NewRingBuffer(1)}, "ReplayStore and ReplayKey"},
		{sse.Config{Handler: handler, ReplayKey: key}, "ReplayStore and ReplayKey"},
		{sse.Config{Broker: b, ReplayKey: key, ReplayStore: sse.NewRingBuffer(1)}, "ReplayKey goes with Handler"},
		{sse.Config{Handler: handler, HeartbeatInterval: -1}, "HeartbeatInterval"},
		{sse.Config{Handler: handler, RetryInterval: -1}, "RetryInterval"},
		{sse.Config{Handler: handler, RetryJitter: -1}, "RetryJitter"},
		{sse.Config{Handler: handler, MaxQueueDepth: -1}, "MaxQueueDepth"},
		{sse.Config{Handler: handler, MaxEventBytes: -1}, "MaxEventBytes"},
		{sse.Config{Handler: handler, MaxAge: -time.Second}, "MaxAge"},
		{sse.Config{Handler: handler, Farewell: &sse.Event{ID: "1"}}, "Farewell"},
		{sse.Config{Handler: handler, Farewell: &sse.Event{Event: "a\nb"}}, "Farewell"},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "sse: New: ") || !strings.Contains(got, tt.want) {
					t.Errorf("panic %q, want one about %q", got, tt.want)
				}
			}()
			sse.New(tt.cfg)
		}()
	}
}

func TestNewBroker_RefusesNegativeSettings(t *testing.T) {
	for _, tt := range []struct {
		cfg  sse.BrokerConfig
		want string
	}{
		{sse.BrokerConfig{SubscriberBuffer: -1}, "SubscriberBuffer"},
		{sse.BrokerConfig{MaxLagBytes: -1}, "MaxLagBytes"},
		{sse.BrokerConfig{History: -1}, "History"},
		{sse.BrokerConfig{HistoryAge: -1}, "HistoryAge"},
		{sse.BrokerConfig{HistoryBytes: -1}, "HistoryBytes"},
		{sse.BrokerConfig{MaxTopics: -1}, "MaxTopics"},
		{sse.BrokerConfig{MaxEventBytes: -1}, "MaxEventBytes"},
		{sse.BrokerConfig{MaxCallbacks: -1}, "MaxCallbacks"},
		{sse.BrokerConfig{SnapshotTimeout: -1}, "SnapshotTimeout"},
	} {
		b, err := sse.NewBroker(tt.cfg)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one about %s", err, tt.want)
		}
		if b != nil {
			_ = b.Close(context.Background())
		}
	}
}
