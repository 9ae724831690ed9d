package wsspec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
)

// say sends bytes at once.
func say(b ...[]byte) step {
	all := join(b...)
	return func(c *conn) error { return c.write(all) }
}

// chop sends bytes in portions of n, each in a packet of its own as far as the system lets it.
func chop(n int, b []byte) step {
	return func(c *conn) error {
		for portion := range slices.Chunk(b, n) {
			if err := c.write(portion); err != nil {
				return err
			}
		}
		return nil
	}
}

// echo demands a message.
func echo(op byte, data []byte) step { return want(received{op: op, data: data}) }

// pong demands a pong.
func pong(data []byte) step { return want(received{op: opPong, data: data}) }

func want(w received) step {
	return func(c *conn) error {
		r, err := c.next()
		if err != nil {
			return fmt.Errorf("want %v: %w", w, err)
		}
		if r.op != w.op || !bytes.Equal(r.data, w.data) {
			return fmt.Errorf("got %v, want %v", r, w)
		}
		return nil
	}
}

// mixed demands text messages in order, and pongs in order, of which all but the last may be left out: section 5.5.3. A
// pong may overtake messages, and messages a pong.
func mixed(pings []string, messages ...string) step {
	return func(c *conn) error {
		got, answered := 0, 0
		for got < len(messages) || answered < len(pings) {
			r, err := c.next()
			if err != nil {
				return fmt.Errorf("with %d of %d messages and ping %d of %d answered: %w", got, len(messages), answered, len(pings), err)
			}
			if r.op == opText && got < len(messages) && string(r.data) == messages[got] {
				got++
				continue
			}
			ping := slices.Index(pings[answered:], string(r.data))
			if r.op != opPong || ping < 0 {
				return fmt.Errorf("got %v, with %d of %d messages and ping %d of %d answered", r, got, len(messages), answered, len(pings))
			}
			answered += ping + 1
		}
		return nil
	}
}

// refuse demands that the server fails the connection: a close frame with one of the codes, then its end.
func refuse(codes ...int) step {
	return func(c *conn) error { return c.closed(codes...) }
}

// aside sends while the steps go on, for what doesn't fit the buffers between the two ends.
func aside(b []byte, steps ...step) step {
	return func(c *conn) error {
		sent := make(chan error, 1)
		go func() { sent <- c.write(b) }()
		for _, do := range steps {
			if err := do(c); err != nil {
				c.raw.Close()
				return errors.Join(err, <-sent)
			}
		}
		return <-sent
	}
}

// answer demands a response to a handshake with one of the statuses, whose header passes a check.
func answer(check func(http.Header) error, statuses ...int) step {
	return answerTo(http.MethodGet, check, statuses...)
}

func answerTo(method string, check func(http.Header) error, statuses ...int) step {
	return func(c *conn) error {
		response, err := c.response(method)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if !slices.Contains(statuses, response.StatusCode) {
			return fmt.Errorf("status %d, want %v", response.StatusCode, statuses)
		}
		if response.StatusCode != http.StatusSwitchingProtocols {
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				return fmt.Errorf("body of the refusal: %w", err)
			}
		}
		if check == nil {
			return nil
		}
		return check(response.Header)
	}
}

// then makes several steps one.
func then(steps ...step) step {
	return func(c *conn) error {
		for _, do := range steps {
			if err := do(c); err != nil {
				return err
			}
		}
		return nil
	}
}
