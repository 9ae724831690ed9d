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
// # Callbacks
//
// With OnOpen, OnMessage and OnClose in place of a Handler, connections have no goroutine of their own:
//
//	websocket.Config{OnMessage: func(c *websocket.Conn, t websocket.MessageType, data []byte) {
//		_, _ = c.Send(t, data)
//	}}
//
// On Linux a connection of a [celeris.Server] over HTTP/1.1 is parked: the server's engine reads what all of them send into one buffer,
// and a goroutine is borrowed when there is a message to handle. An idle connection costs less than 2 KiB. Elsewhere one
// goroutine reads from the connection, and the rest is the same. The messages of a connection are handled in order, one
// at a time. When more of them wait than may (MaxInbox), nothing is read: the peer has to wait. data belongs to the
// callback until it returns. When the peer closes, the messages that came before are handled first, and what is sent in
// reply still goes out, for as long as CloseTimeout allows.
//
// # Hubs
//
// A [Hub] sends messages to many connections, with a Handler or with callbacks, all of them or those in a room:
//
//	hub := websocket.NewHub(websocket.HubConfig{})
//	cfg := websocket.Config{
//		OnOpen: func(c *websocket.Conn) { _, _ = hub.Register(c, c.Param("room")) },
//		OnMessage: func(c *websocket.Conn, t websocket.MessageType, data []byte) {
//			_, _ = hub.BroadcastTo(c.Param("room"), t, data)
//		},
//	}
//
// A message is framed once, and compressed once: for the smallest window of those connections that compress, so that all
// of them can read it; others get it as it is, and so do those whose messages refer to earlier ones. It goes into a log
// of its room, in which every connection has its place, and the broadcast returns. What is broadcast and what is sent to
// one connection go out in the order of the calls.
//
// A connection that can't keep up is closed with 1013, unless HubConfig.OnSlowConn says otherwise; nobody else notices
// it. With HubConfig.Envelope every message has its position in it, and a client that comes back with one misses nothing
// that the history still has ([Hub.Resume]). OnJoin and OnLeave tell who is in a room. [Hub.Close] closes all connections
// with 1001 and waits for their end.
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
