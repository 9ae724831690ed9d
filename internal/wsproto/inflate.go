package wsproto

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// ending follows the payload of a message: the tail that its sender took off, and a final block, so that the decoder
// sees an end.
const ending = tail + "\x01\x00\x00\xff\xff"

const maxWindow = 1 << MaxWindowBits

// decoder is what a message is inflated with.
type decoder struct {
	in   bytes.Reader
	r    io.ReadCloser
	hist []byte // the last that came out, between one and two windows
}

var decoders = sync.Pool{New: func() any {
	d := &decoder{hist: make([]byte, 0, 2*maxWindow)}
	d.r = flate.NewReader(&d.in)
	return d
}}

// Inflater inflates the messages of one direction of a connection, one after the other. The zero value is for one without
// context takeover.
type Inflater struct {
	// Bits is the window of the sender; only with Takeover it matters.
	Bits int
	// Takeover says that messages may refer to earlier ones.
	Takeover bool

	past Window
	d    *decoder // while a message is open
	err  error
}

// Open begins a message with its payload as it came. [Inflater.Read] reads what it stands for, [Inflater.Close] ends it.
// payload is appended to within its capacity, and is used until then.
func (z *Inflater) Open(payload []byte) {
	z.Close()
	z.d = decoders.Get().(*decoder)
	z.err = nil
	if len(payload) == 0 { // RFC 7692 7.2.3.6 wants a byte, but no byte can't mean anything else
		payload = append(payload, 0)
	}
	z.d.in.Reset(append(payload, ending...))
	z.d.hist = append(z.d.hist[:0], z.past.Bytes()...)
	z.reset()
}

// reset begins a deflate stream at the next byte, with what came out before as its past.
func (z *Inflater) reset() {
	hist := z.d.hist
	if len(hist) > maxWindow {
		hist = hist[len(hist)-maxWindow:]
	}
	_ = z.d.r.(flate.Resetter).Reset(&z.d.in, hist) // it has no error
}

// Read implements [io.Reader]. It ends with io.EOF, or with an [*Error] if the payload is not deflated data. It is never
// ahead of what is read, so whoever bounds that bounds what is inflated.
func (z *Inflater) Read(p []byte) (n int, err error) {
	if z.d == nil {
		return 0, io.EOF
	}
	if len(p) == 0 || z.err != nil {
		return 0, z.err
	}
	for n == 0 && z.err == nil {
		var err error
		n, err = z.d.r.Read(p)
		z.keep(p[:n])
		switch {
		case err == nil:
		case err != io.EOF:
			z.err = errDeflate
		case z.d.in.Len() <= len(ending):
			z.err = io.EOF // the block of the ending, or a final one of the sender with nothing behind it
		default:
			z.reset() // RFC 7692 7.2.1: a message may have blocks behind a final one
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, z.err
}

func (z *Inflater) keep(p []byte) {
	d := z.d
	if len(p) > maxWindow {
		p = p[len(p)-maxWindow:]
	}
	if len(d.hist)+len(p) > cap(d.hist) {
		d.hist = append(d.hist[:0], d.hist[len(d.hist)-maxWindow:]...)
	}
	d.hist = append(d.hist, p...)
}

// Close ends the message. What has not been read of it is lost, also for later messages.
func (z *Inflater) Close() {
	if z.d == nil {
		return
	}
	if z.Takeover {
		z.past.last = z.past.last[:0]
		z.past.Keep(z.d.hist, z.Bits)
	}
	z.d.in.Reset(nil)
	decoders.Put(z.d)
	z.d = nil
}

// Append inflates a whole message and appends it to b. It fails with [ErrTooBig] as soon as that is longer than limit
// bytes; zero means no bound. See [Inflater.Open] for payload.
func (z *Inflater) Append(b, payload []byte, limit int64) ([]byte, error) {
	z.Open(payload)
	defer z.Close()
	begin := len(b)
	if room := min(4*len(payload)+64, 16<<10); cap(b)-len(b) < room {
		b = append(make([]byte, 0, len(b)+room), b...)
	}
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := z.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case limit > 0 && int64(len(b)-begin) > limit:
			return b, ErrTooBig
		case err == io.EOF: //nolint:errorlint // Read returns it bare
			return b, nil
		case err != nil:
			return b, err
		}
	}
}
