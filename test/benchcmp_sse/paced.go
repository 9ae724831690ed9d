package main

import (
	"fmt"
	"time"
)

// paced is a visit that publishes events at fixed times, whether or not earlier ones have arrived. Latencies count from
// when the event was due, so that a publisher which is held up doesn't make them look better.
func (m *matrix) paced(count int, interval time.Duration) visit {
	return func(r *runner, s *Sample) error {
		if _, err := r.fleet.Relax(fineNap); err != nil {
			return err
		}
		if _, err := r.publish(1, wireSize); err != nil {
			return err
		}
		if err := r.await(); err != nil {
			return err
		}
		first := r.number + 1
		if err := r.fleet.Watch(r.group, first, count); err != nil {
			return err
		}
		before, err := r.usage()
		if err != nil {
			return err
		}
		delivered := r.tally.Delivered
		began, took, err := r.pace(count, interval)
		if err != nil {
			return err
		}
		after, err := r.usage()
		if err != nil {
			return err
		}
		arrivals, err := r.fleet.Arrivals(r.group)
		if err != nil {
			return err
		}
		for i, a := range arrivals {
			if a.Streams < r.n {
				continue // lost on the way, and counted as that
			}
			due := began.Add(time.Duration(i) * interval)
			s.add("first", float64(a.First.Sub(due).Nanoseconds()))
			s.add("last", float64(a.Last.Sub(due).Nanoseconds()))
		}
		events := float64(max(r.tally.Delivered-delivered, 1))
		s.Values["cpu"] = float64((after.server - before.server).Nanoseconds()) / events
		s.Values["client"] = float64((after.client - before.client).Nanoseconds()) / events
		s.Values["late"] = float64(took) / float64(time.Duration(max(count-1, 1))*interval)
		_, err = r.fleet.Relax(nap)
		return err
	}
}

// pace lets the server publish at fixed times while the client reads. It returns when the first event was due and how
// long after that the last call returned.
func (r *runner) pace(count int, interval time.Duration) (began time.Time, took time.Duration, err error) {
	r.number += int64(count)
	r.due += int64(count) * int64(r.n)
	paced := make(chan error, 1)
	var begin, ns int64
	go func() {
		paced <- r.server.Ask(fmt.Sprintf("pace %d %d %d", count, interval, wireSize), "paced %d %d", &begin, &ns)
	}()
	r.tally, err = r.fleet.Reach(r.group, r.number, late+time.Duration(count)*interval)
	if failed := <-paced; failed != nil {
		err = failed
	}
	return time.Unix(0, begin), time.Duration(ns), err
}
