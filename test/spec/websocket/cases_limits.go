package wsspec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// limits are sections 10.4 and 7.4.1: how much one message may be.
func limits(limit int64) []Case {
	const section = "10.4"
	var cases []Case
	add := func(name string, steps ...step) { cases = append(cases, framing(section, name, steps...)) }
	for _, kind := range kinds {
		for _, n := range []int{256 << 10, 1 << 20} {
			data := filler(n)
			add(fmt.Sprintf("%s of %d KiB", kind.name, n>>10), aside(whole(kind.op, data), echo(kind.op, data)))
		}
	}
	data := filler(256 << 10)
	for _, size := range []int{64, 1024, 4096, 64 << 10} {
		add(fmt.Sprintf("256 KiB in fragments of %d", size), aside(pieces(opBinary, data, size), echo(opBinary, data)))
	}
	for _, size := range []int{256, 1024, 64 << 10} {
		add(fmt.Sprintf("256 KiB in portions of %d", size), aside(nil, chop(size, whole(opBinary, data)), echo(opBinary, data)))
	}
	for _, size := range []int{0, 16, 256, 4096} {
		add(fmt.Sprintf("two hundred round trips of %d bytes", size), roundTrips(200, filler(size)))
	}
	most, half := filler(int(limit)), limit/2
	add("a message of the limit", aside(whole(opBinary, most), echo(opBinary, most)))
	add("a message of the limit in fragments", aside(pieces(opBinary, most, 100_000), echo(opBinary, most)))
	add("a byte more than the limit is refused before the payload has come", say(header(finBit|opBinary, uint64(limit)+1)), refuse(1009))
	add("a fragment of more than the limit is refused", say(header(opText, uint64(limit)+1)), refuse(1009))
	add("fragments that are more than the limit together are refused",
		aside(join(part(opBinary, most[:half]), header(opContinuation, uint64(limit-half)+1)), refuse(1009)))
	add("the limit is for each message", aside(join(whole(opBinary, most[:half+1]), whole(opBinary, most[:half+1])), repeated(2, echo(opBinary, most[:half+1]))))
	return cases
}

func roundTrips(n int, data []byte) step {
	f, answer := whole(opText, data), echo(opText, data)
	return func(c *conn) error {
		for range n {
			if err := c.write(f); err != nil {
				return err
			}
			if err := answer(c); err != nil {
				return err
			}
		}
		return nil
	}
}

// floods are what a peer can send to cost more than it pays. The server may take its time, or close; it may not be
// confused, and it may not delay others.
func floods() []Case {
	const section, n = "10.4", 20_000
	numbered := func(i, size int) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(i)), make([]byte, size-4)...)
	}
	var pings, empties, fragments []byte
	fragments = append(fragments, part(opText, []byte("a"))...)
	for i := range n {
		pings = append(pings, whole(opPing, numbered(i, 125))...)
		empties = append(empties, whole(opText, nil)...)
		fragments = append(fragments, part(opContinuation, nil)...)
	}
	fragments = append(fragments, whole(opContinuation, []byte("b"))...)
	message := whole(opBinary, filler(60_000))
	return []Case{
		framing(section, "a flood of pings that are not read delays nobody", aside(pings, neighbour, pongs(n))),
		framing(section, "a flood of empty messages", aside(empties, neighbour, repeated(n, echo(opText, nil)))),
		framing(section, "a flood of empty fragments", aside(fragments, neighbour, echo(opText, []byte("ab")))),
		framing(section, "a peer that sends and never reads delays nobody", func(c *conn) error {
			sent := make(chan error, 1)
			go func() {
				for range 500 {
					if err := c.write(message); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			err := repeated(20, neighbour)(c)
			c.raw.Close()
			c.ended = true
			<-sent //nolint:errcheck // it fails where the server doesn't read on, which is right
			return err
		}),
		framing(section, "a peer that goes in the middle of a frame delays nobody", say(message[:1000]), func(c *conn) error {
			if t, ok := c.raw.(*net.TCPConn); ok {
				if err := t.SetLinger(0); err != nil {
					return err
				}
			}
			c.raw.Close()
			c.ended = true
			return neighbour(c)
		}),
	}
}

// neighbour demands that another connection is served meanwhile.
func neighbour(c *conn) error {
	other, err := c.dial()
	if err != nil {
		return fmt.Errorf("another connection: %w", err)
	}
	defer other.raw.Close()
	if err := other.open(""); err != nil {
		return fmt.Errorf("another connection: %w", err)
	}
	data := []byte("neighbour")
	if err := then(say(whole(opText, data)), echo(opText, data))(other); err != nil {
		return fmt.Errorf("another connection: %w", err)
	}
	return other.leave()
}

func repeated(n int, do step) step {
	return func(c *conn) error {
		for i := range n {
			if err := do(c); err != nil {
				return fmt.Errorf("%d of %d: %w", i+1, n, err)
			}
		}
		return nil
	}
}

// pongs demands pongs in order up to the last, of which others may be left out, or the end of the connection.
func pongs(n int) step {
	return func(c *conn) error {
		for last := -1; last < n-1; {
			r, err := c.next()
			switch {
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
				c.ended = true
				return nil
			case err != nil:
				return err
			case r.op == opClose:
				return c.end()
			case r.op != opPong || len(r.data) != 125:
				return fmt.Errorf("got %v, want a pong", r)
			}
			i := int(binary.BigEndian.Uint32(r.data))
			if i <= last {
				return fmt.Errorf("the pong for ping %d behind that for %d", i, last)
			}
			last = i
		}
		return nil
	}
}
