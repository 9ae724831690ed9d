package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/goceleris/celeris/test/benchkit"
)

// The control protocol. A server prints "listening ADDR", then it answers each line with one:
//
//	publish COUNT TOPICS SIZE   "published NS": COUNT events to each of the topics 0 … TOPICS-1, and how long it took
//	pace COUNT NS SIZE          "paced BEGIN NS": COUNT events to topic 0, one each NS; when the first was due (Unix
//	                            time in nanoseconds) and how long after that the last call returned
//	stats                       counters, as JSON
//	gc                          "gc", when what is free has gone back to the system
//
// SIZE is that of one event on the wire. Its data begins with its number in its topic.

// serve runs a design until in ends.
func serve(name string, in io.Reader, out io.Writer) error {
	for _, d := range designs() {
		if d.Name != name {
			continue
		}
		srv, err := d.start()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		c := &controlled{srv: srv, numbers: map[int]int64{}}
		if err := benchkit.Control(srv, c.obey, in, out); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	return fmt.Errorf("no server %q", name)
}

// controlled is a server with the numbers of its events.
type controlled struct {
	srv     server
	numbers map[int]int64
}

func (c *controlled) obey(line string) (string, error) {
	var count, topics, size int
	var interval time.Duration
	if n, _ := fmt.Sscanf(line, "publish %d %d %d", &count, &topics, &size); n == 3 {
		before := time.Now()
		for topic := range topics {
			for range count {
				if err := c.publish(topic, size); err != nil {
					return "", err
				}
			}
		}
		return fmt.Sprintf("published %d", time.Since(before).Nanoseconds()), nil
	}
	if n, _ := fmt.Sscanf(line, "pace %d %d %d", &count, &interval, &size); n == 3 {
		begin := time.Now().Add(interval)
		for i := range count {
			time.Sleep(time.Until(begin.Add(time.Duration(i) * interval)))
			if err := c.publish(0, size); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("paced %d %d", begin.UnixNano(), time.Since(begin).Nanoseconds()), nil
	}
	switch line {
	case "stats":
		return c.stats()
	case "gc":
		benchkit.Collect()
		return "gc", nil
	}
	return "", fmt.Errorf("can't make sense of it")
}

// publish makes an event of that size on the wire and publishes it.
func (c *controlled) publish(topic, size int) error {
	c.numbers[topic]++
	size -= len("data: \n\n") + c.srv.Overhead()
	data := append(make([]byte, 0, size), strconv.FormatInt(c.numbers[topic], 10)...)
	data = append(data, ' ')
	for len(data) < size {
		data = append(data, 'x')
	}
	return c.srv.Publish(strconv.Itoa(topic), data)
}

func (c *controlled) stats() (string, error) {
	answer := benchkit.Counters{Dropped: c.srv.Dropped()}
	if s, ok := c.srv.(interface{ Log() string }); ok {
		answer.Log = s.Log()
	}
	return answer.Line()
}
