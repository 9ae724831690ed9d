package celeristest

import (
	"context"
	"net"
	"net/http"
)

// transport returns one that speaks the site's protocol over what dial opens. It asks for no compression, so that a byte
// that is sent is a byte that is read.
func (s *Site) transport(dial func(context.Context) (net.Conn, error)) *http.Transport {
	tr := &http.Transport{
		Protocols:          new(http.Protocols),
		DisableCompression: true,
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}
	if s.opts.H2C {
		tr.Protocols.SetUnencryptedHTTP2(true)
	} else {
		tr.Protocols.SetHTTP1(true)
	}
	return tr
}

// ending ends all requests with a context: a response that nobody reads would otherwise keep goroutines of its
// transport.
type ending struct {
	*http.Transport
	ctx context.Context
}

// RoundTrip implements [http.RoundTripper].
func (e ending) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := context.AfterFunc(e.ctx, func() { cancel(context.Cause(e.ctx)) })
	res, err := e.Transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		stop()
		cancel(err)
	}
	return res, err // a body that is being read needs the context until the end of the test
}
