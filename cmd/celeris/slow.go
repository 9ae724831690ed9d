package main

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goceleris/celeris"
	"github.com/goceleris/celeris/middleware/sse"
)

// plan says how a trial goes.
type plan struct {
	every  time.Duration // between two events of the load
	size   int           // bytes that pad each of them
	settle time.Duration // how long everyone else is measured before the slow reader comes
	gulp   int           // bytes that the slow reader takes at once
	pause  time.Duration // before each gulp
	lasts  time.Duration // a switch that was forgotten goes off by itself
}

// standardPlan publishes some 130 KB/s to a reader that takes 2 KB/s.
var standardPlan = plan{
	every: time.Second / 64, size: 2000, settle: 5 * time.Second,
	gulp: 1 << 10, pause: 500 * time.Millisecond, lasts: 5 * time.Minute,
}

// slowSwitch is the page's switch for one slow reader: all pages share it, and at most one trial runs. Its
// methods may be called by any number of goroutines.
type slowSwitch struct {
	life   context.Context // of the demo
	broker *sse.Broker
	addr   string // where the demo itself listens
	plan   plan

	turning sync.Mutex // held while a trial is started or waited for
	now     atomic.Pointer[trial]
}

// Phases of the switch.
const (
	phaseOff    = "off"
	phaseBefore = "measuring" // the load is on, the slow reader is not there yet
	phaseSlow   = "on"
)

// slowStats is what all pages see of the switch.
type slowStats struct {
	Phase  string  `json:"phase"`
	EndsIn float64 `json:"ends_in_seconds,omitempty"`

	Published    uint64  `json:"published"` // events, since the slow reader came
	Read         uint64  `json:"read"`      // of those, by it
	BehindEvents uint64  `json:"behind_events"`
	BehindBytes  uint64  `json:"behind_bytes"`
	BehindMS     float64 `json:"behind_ms"` // age of the newest event that it has read

	Skipped    uint64 `json:"skipped"`    // times that the broker found it slow and moved it on to the newest event
	Resyncs    uint64 `json:"resyncs"`    // that have reached it since
	Dropped    uint64 `json:"dropped"`    // events left out, as these resyncs told it
	Reconnects uint64 `json:"reconnects"` // after its connection had been cut

	Before latencyStats `json:"before"` // of a healthy reader of the same load, without the slow one
	With   latencyStats `json:"with"`   // of the same healthy reader, beside it
}

func (s *slowSwitch) register(app *celeris.Server) {
	topics := []string{"load"}
	app.GET("/load", sse.New(sse.Config{
		Broker:    s.broker,
		Topics:    func(*celeris.Context) ([]string, error) { return topics, nil },
		OnConnect: rememberReader,
	}))
	app.POST("/slow", s.serve).MaxBody(maxPaintBytes)
}

// rememberReader keeps the token of a trial on the stream of its slow reader.
func rememberReader(c *sse.Client) error {
	if trial := c.Request().URL.Query().Get("trial"); trial != "" {
		c.Set("trial", trial)
	}
	return nil
}

// judge is the broker's OnSlowSubscriber: every slow reader is moved on to the newest event; that of the
// trial is counted.
func (s *slowSwitch) judge(slow sse.SlowSubscriber) sse.BrokerPolicy {
	if t := s.now.Load(); t != nil {
		if of, _ := slow.Client.Get("trial"); of == t.token {
			t.skipped.Add(1)
		}
	}
	return sse.BrokerPolicyDrop
}

// serve turns the switch to where the request wants it and answers with the statistics from then on.
func (s *slowSwitch) serve(c *celeris.Context) error {
	var r struct {
		On *bool `json:"on"`
	}
	if err := c.Bind(&r); err != nil {
		return err
	}
	if r.On == nil {
		return celeris.NewHTTPError(http.StatusBadRequest, `the body is {"on":true} or {"on":false}`)
	}
	s.turn(*r.On)
	return c.JSON(http.StatusOK, s.stats())
}

// turn starts a trial, or ends the one that runs and waits for it. A switch that is already where it should
// be stays as it is.
func (s *slowSwitch) turn(on bool) {
	s.turning.Lock()
	defer s.turning.Unlock()
	if t := s.now.Load(); t != nil {
		if on && !t.over() {
			return
		}
		t.end()
		s.now.Store(nil)
	}
	if on && s.life.Err() == nil {
		s.now.Store(newTrial(s.life, s.broker, s.addr, s.plan))
	}
}

// close ends a running trial. It is called when the demo's life is over.
func (s *slowSwitch) close() { s.turn(false) }

// stats returns the present statistics.
func (s *slowSwitch) stats() slowStats {
	t := s.now.Load()
	if t == nil || t.over() {
		return slowStats{Phase: phaseOff}
	}
	return t.stats()
}
