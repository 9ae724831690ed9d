//go:build linux

package sockets

import (
	"bytes"
	"strings"
)

// block is what stands between two blank lines.
type block struct {
	id, event, data string
	retry           bool
	comment         bool
	size            int
}

// splitter cuts a stream into blocks. It shares no code with the framework.
type splitter struct{ rest []byte }

func (s *splitter) feed(p []byte, f func(block)) {
	s.rest = append(s.rest, p...)
	for {
		i := bytes.Index(s.rest, []byte("\n\n"))
		if i < 0 {
			return
		}
		f(parse(string(s.rest[:i])))
		s.rest = s.rest[i+2:]
	}
}

func parse(text string) (b block) {
	b.size = len(text) + 2
	var data []string
	for line := range strings.SplitSeq(text, "\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "":
			b.comment = true
		case "id":
			b.id = value
		case "event":
			b.event = value
		case "data":
			data = append(data, value)
		case "retry":
			b.retry = true
		}
	}
	b.data = strings.Join(data, "\n")
	return b
}
