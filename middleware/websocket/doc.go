// Package websocket serves and dials WebSocket connections: RFC 6455, permessage-deflate (RFC 7692) and, where net/http
// speaks it, WebSocket over HTTP/2 (RFC 8441).
//
// # Usage
//
// [New] makes a handler of a [Config]; its Handler has the connection for as long as it runs:
//
//	app.GET("/echo", websocket.New(websocket.Config{Handler: func(c *websocket.Conn) {
//		for m, err := range c.Messages(c.Context()) {
//			if err != nil {
//				return
//			}
//			_ = c.WriteMessage(c.Context(), m.Type, m.Data)
//		}
//	}}))
//
// It is also an [net/http.Handler] for any other server and router. [Route] registers it for HTTP/2 as well. [Dial] is
// the client.
//
// # Reading
//
// One goroutine reads at a time; others wait for their turn. Reads end with the connection, and with their context, which
// leaves the connection as it is. Pings are answered, and the closing handshake is done, while somebody reads: a handler
// that only writes calls [Conn.CloseRead].
//
// # Writing
//
// Any number of goroutines write. A message goes out whole, and no writer ever waits for the peer: what the connection
// does not take at once is kept, up to MaxBacklog. Above that [Conn.Send] drops the message and says so, and
// [Conn.WriteMessage] waits for room. [Conn.BufferedAmount] and [Conn.Drained] tell more. A peer that takes nothing for
// MaxStall is cut.
//
// # Closing
//
// The connection ends with a closing handshake: when the handler returns (1000), panics (1011) or calls [Conn.Close],
// when the peer closes or breaks the protocol, and when the server shuts down (1001). A peer that does not close within
// CloseTimeout is cut.
//
// # Origins
//
// Browsers let any page open a WebSocket to any server, with the user's cookies. So a request with an Origin header is
// refused unless it names the host that was asked for, or one that [Config] allows.
//
// # Compression
//
// It is off unless [Compression] enables it. No message refers to an earlier one then, so that an idle connection holds
// no memory for it, unless takeover is asked for.
package websocket
