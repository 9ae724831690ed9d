package wsproto

import (
	"sync"

	"github.com/klauspost/compress/flate"
)

// tail is what RFC 7692 7.2.1 takes off the end of a message.
const tail = "\x00\x00\xff\xff"

// Levels of compression. Windows below 32 KiB have one of their own, about the default.
const (
	MinLevel     = flate.ConstantCompression
	MaxLevel     = flate.BestCompression
	DefaultLevel = flate.BestSpeed
)

// encoder is what a message is compressed with.
type encoder struct {
	w   *flate.Writer
	out []byte
}

// Write implements [io.Writer].
func (e *encoder) Write(p []byte) (int, error) {
	e.out = append(e.out, p...)
	return len(p), nil
}

// encoders are pools: for the full window one for each level, for others one for each size.
var encoders struct {
	level [MaxLevel - MinLevel + 1]sync.Pool
	bits  [MaxWindowBits - MinWindowBits]sync.Pool
}

func encoderPool(bits, level int) *sync.Pool {
	if bits >= MaxWindowBits {
		return &encoders.level[level-MinLevel]
	}
	return &encoders.bits[bits-MinWindowBits]
}

func newEncoder(bits, level int) *encoder {
	e := new(encoder)
	var err error
	if bits >= MaxWindowBits {
		e.w, err = flate.NewWriter(e, level)
	} else {
		e.w, err = flate.NewWriterWindow(e, 1<<bits)
	}
	if err != nil {
		panic(err) // the callers have checked both
	}
	return e
}

// AppendDeflate appends the compressed payload of a message, which refers to nothing outside itself but dict: what was
// compressed before with context takeover, if anything. It refers back 1<<bits bytes at most, 8 to 15 bits; level is
// MinLevel to MaxLevel.
func AppendDeflate(b, p, dict []byte, bits, level int) []byte {
	pool := encoderPool(bits, level)
	e, ok := pool.Get().(*encoder)
	if !ok {
		e = newEncoder(bits, level)
	}
	e.out = b
	e.w.ResetDict(e, dict)
	_, err := e.w.Write(p)
	if err == nil {
		err = e.w.Flush()
	}
	if err != nil {
		panic(err) // Write of an encoder has none
	}
	b, e.out = e.out, nil
	e.w.ResetDict(nil, nil)
	pool.Put(e)
	return b[:len(b)-len(tail)]
}

// Window is what a direction of a connection with context takeover knows of the past. The zero value is empty.
type Window struct{ last []byte }

// Bytes are the last of what was kept.
func (w *Window) Bytes() []byte { return w.last }

// Keep adds a message, of which, and of those before, the last 1<<bits bytes are kept.
func (w *Window) Keep(p []byte, bits int) {
	size := 1 << bits
	if len(p) >= size {
		w.last = append(w.last[:0], p[len(p)-size:]...)
		return
	}
	if over := len(w.last) + len(p) - size; over > 0 {
		w.last = append(w.last[:0], w.last[over:]...)
	}
	w.last = append(w.last, p...)
}
