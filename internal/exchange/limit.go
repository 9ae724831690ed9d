package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/goceleris/celeris/engine"
)

// What [Host.Room] and [Host.Add] answer to one stream too many. Both wrap [engine.ErrFull].
var (
	ErrServerFull = fmt.Errorf("celeris: the server has MaxStreams streams: %w", engine.ErrFull)
	ErrClientFull = fmt.Errorf("celeris: the client has MaxStreamsPerClient streams: %w", engine.ErrFull)
)

// refusalGap is the least time between two log lines about refused streams.
const refusalGap = 10 * time.Second

// Limits bound the open streams of a host.
type Limits struct {
	// Streams is how many may be open. Zero means that there is no limit.
	Streams int
	// PerClient is how many of them may be one client's. Zero means that there is no limit.
	PerClient int
	// ClientIP says who sent a request. Nil means the address of its RemoteAddr.
	ClientIP func(*http.Request) netip.Addr
	// Logger is told of refusals. Nil means that nobody is.
	Logger *slog.Logger
}

// Refused counts the streams that a host turned away, by the reason.
type Refused struct {
	Draining int64 // the host was draining
	Server   int64 // as many streams as may be were open
	Client   int64 // as many streams as may be of that client were open
}

// guest is a client with open streams.
type guest struct {
	client  netip.Addr
	streams int
}

// Client is who sent r, as the limit per client counts clients. It is invalid where that limit does not apply. User
// code runs in it.
func (h *Host) Client(r *http.Request) netip.Addr {
	if h == nil || h.Limits.PerClient == 0 {
		return netip.Addr{}
	}
	if f := h.Limits.ClientIP; f != nil {
		return household(f(r))
	}
	return household(remote(r))
}

// remote is the address that r came from, invalid if that has none, as on a Unix socket.
func remote(r *http.Request) netip.Addr {
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return a.Addr()
	}
	a, _ := netip.ParseAddr(r.RemoteAddr) // middleware may have left the port out
	return a
}

// household is the address that stands for all that one client can have: over IPv6 that is a whole /64 (RFC 6177),
// except for link-local addresses, of which everybody on a link has one in the same.
func household(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is6() && !a.IsLinkLocalUnicast() {
		p, _ := a.Prefix(64) // 64 bits are there
		return p.Addr()
	}
	return a
}

// Room reports whether [Host.Add] would take a stream of that client now. It is asked before anything is spent on the
// stream, and an error counts as a refusal.
func (h *Host) Room(client netip.Addr) error {
	if h == nil {
		return nil
	}
	return h.admit(nil, client)
}

// Add registers an open stream of a client, or answers [ErrDraining], [ErrServerFull] or [ErrClientFull].
func (h *Host) Add(s engine.Stream, client netip.Addr) error { return h.admit(s, client) }

// admit registers s, or only looks whether it could if s is nil.
func (h *Host) admit(s engine.Stream, client netip.Addr) error {
	h.mu.Lock()
	err := h.full(client)
	since, streams := Refused{}, len(h.streams)
	switch {
	case err != nil:
		since = h.refuse(err)
	case s != nil:
		h.register(s, client)
	}
	h.mu.Unlock()
	if since.Server+since.Client > 0 {
		h.Limits.Logger.LogAttrs(context.Background(), slog.LevelWarn, "streams refused",
			slog.Int64("server_full", since.Server), slog.Int64("client_full", since.Client), slog.Int("streams", streams),
			slog.Int("max_streams", h.Limits.Streams), slog.Int("max_streams_per_client", h.Limits.PerClient))
	}
	return err
}

// full says why no stream of that client can be registered. mu is held.
func (h *Host) full(client netip.Addr) error {
	if h.draining {
		return ErrDraining
	}
	if limit := h.Limits.Streams; limit > 0 && len(h.streams) >= limit {
		return ErrServerFull
	}
	if limit := h.Limits.PerClient; limit > 0 && client.IsValid() {
		if g := h.guests[client]; g != nil && g.streams >= limit {
			return ErrClientFull
		}
	}
	return nil
}

// refuse counts a refusal, and returns those that a log line should tell of now. mu is held.
func (h *Host) refuse(err error) Refused {
	switch {
	case errors.Is(err, ErrDraining):
		h.refused.Draining++
		return Refused{} // the log has the shutdown
	case errors.Is(err, ErrServerFull):
		h.refused.Server++
	default:
		h.refused.Client++
	}
	now := time.Now()
	if h.Limits.Logger == nil || now.Sub(h.toldAt) < refusalGap {
		return Refused{}
	}
	since := Refused{Server: h.refused.Server - h.told.Server, Client: h.refused.Client - h.told.Client}
	h.told, h.toldAt = h.refused, now
	return since
}

// register enters s. mu is held.
func (h *Host) register(s engine.Stream, client netip.Addr) {
	if _, ok := h.streams[s]; ok {
		return
	}
	if h.Limits.PerClient > 0 && client.IsValid() {
		g := h.guests[client]
		if g == nil {
			g = &guest{client: client}
			if h.guests == nil {
				h.guests, h.guestOf = make(map[netip.Addr]*guest), make(map[engine.Stream]*guest)
			}
			h.guests[client] = g
		}
		g.streams++
		h.guestOf[s] = g
	}
	if h.streams == nil {
		h.streams = make(map[engine.Stream]struct{})
	}
	h.streams[s] = struct{}{}
	h.opened++
}

// Remove takes a stream out that has ended.
func (h *Host) Remove(s engine.Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if g := h.guestOf[s]; g != nil {
		delete(h.guestOf, s)
		if g.streams--; g.streams == 0 {
			delete(h.guests, g.client)
		}
	}
	delete(h.streams, s)
	h.signal()
}

// Clients returns how many clients have open streams. It counts none without a limit per client.
func (h *Host) Clients() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.guests)
}

// Refused returns how many streams were turned away so far.
func (h *Host) Refused() Refused {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refused
}
