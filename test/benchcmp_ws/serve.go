package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/goceleris/celeris/test/benchkit"
)

// Beside what package benchkit says, a server obeys
//
//	publish COUNT ROOMS SIZE   "published NS": COUNT messages to each of the rooms 0 … ROOMS-1, and how long it took
//
// SIZE is that of one message. It begins with its number in its room.

// serve runs a design until in ends.
func serve(name string, deflate bool, in io.Reader, out io.Writer) error {
	all := designs()
	i := slices.IndexFunc(all, func(d design) bool { return d.Name == name })
	if i < 0 {
		return fmt.Errorf("no server %q", name)
	}
	srv, err := all[i].start(deflate)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	c := &controlled{srv: srv, numbers: map[int]int64{}}
	if err := benchkit.Control(srv, c.obey, in, out); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// controlled is a server with the numbers of its messages.
type controlled struct {
	srv     server
	numbers map[int]int64
}

func (c *controlled) obey(line string) (string, error) {
	var count, rooms, size int
	if n, _ := fmt.Sscanf(line, "publish %d %d %d", &count, &rooms, &size); n == 3 {
		before := time.Now()
		for room := range rooms {
			for range count {
				if err := c.publish(room, size); err != nil {
					return "", err
				}
			}
		}
		return fmt.Sprintf("published %d", time.Since(before).Nanoseconds()), nil
	}
	switch line {
	case "stats":
		return benchkit.Counters{Dropped: c.srv.Dropped()}.Line()
	case "gc":
		benchkit.Collect()
		return "gc", nil
	}
	return "", fmt.Errorf("can't make sense of it")
}

// publish makes a message of that size and publishes it. It is like JSON: it can be compressed, but not to nothing.
func (c *controlled) publish(room, size int) error {
	c.numbers[room]++
	data := append(make([]byte, 0, size+64), strconv.FormatInt(c.numbers[room], 10)...)
	data = append(data, ' ')
	for i := 0; len(data) < size; i++ {
		data = fmt.Appendf(data, `{"id":%d,"price":%d.%02d}`, i, 100+i*7%50, i*37%100)
	}
	return c.srv.Publish(strconv.Itoa(room), data[:size])
}
