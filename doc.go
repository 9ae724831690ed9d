// Package celeris is a streaming-first HTTP framework: routes, middleware and a graceful shutdown over
// net/http, made for programs that push events to very many clients.
//
// # Usage
//
// A [Server] is made by [New], gets its routes and is started:
//
//	app := celeris.New(celeris.Config{})
//	app.GET("/hello/{name}", func(c *celeris.Context) error {
//		return c.String(http.StatusOK, "Hello, "+c.Param("name"))
//	})
//	log.Fatal(app.Start())
//
// It speaks HTTP/1.1 and HTTP/2, with [Config.TLSConfig] over TLS and without it in cleartext (h2c with
// prior knowledge). It is also an [http.Handler] for somebody else's [http.Server]; give that
// one [http.Server.BaseContext] and timeouts as you like, but no WriteTimeout shorter than what precedes
// the first byte of a stream.
//
// A [HandlerFunc] gets a [Context], a thin layer over the writer and the request of net/http, and returns an
// error. Contexts are not reused: keeping one too long is a leak and never somebody else's request.
//
// Streams are the work of other packages, middleware/sse first. They are handlers like others. They outlive
// the handlers around them: [Context.OnStreamEnd] tells when a stream is over.
//
// # Routing
//
// Patterns are those of [http.ServeMux], with a method: "GET /rooms/{id}", "POST /files/{path...}". The more
// specific pattern wins, whatever the order of registration. Differences and additions:
//
//   - The path "/" alone means exactly that, and beneath a group exactly the prefix with a slash. What stands
//     for everything beneath is "/{path...}", or [Server.Mount] for a whole [http.Handler].
//   - HEAD is served by the route for GET, unless there is one for HEAD.
//   - A request that no route serves is a 404, or a 405 with the Allow header. Both are errors like those of
//     handlers: they pass through the middleware of [Server.Use] and to the error handler. So do redirects
//     to the canonical form of a path.
//   - Mistakes panic at registration and name the places in the code: conflicts, malformed patterns, missing
//     methods, wildcards in the syntax of other routers.
//   - Routes, middleware and limits are fixed with the first request.
//
// # Middleware
//
// A [Middleware] wraps a handler when the routes are put together. Around a route stand, outermost first,
// the middleware of [Server.Use], of its groups, and its own. The route is known to all of them.
//
// Middleware written for net/http is adapted by [FromHTTPMiddleware]. What handlers inside return is rendered
// inside, with the writer that the middleware handed on, so a compressor compresses error pages and a logger
// sees the real status.
//
// # Errors
//
// An error returned by a handler goes to [Config.ErrorHandler], [DefaultErrorHandler] if there is none, and
// always has an [HTTPError] in its chain by then: one that the handler chose, 413 for an
// [http.MaxBytesError], 500 for all others. The text of a cause is logged and never sent.
//
// When the response has begun nothing more is written and the error is logged; if the body broke off, the
// connection is closed as a sign to the client. An error because the client went away is logged at the debug
// level only.
//
// A panic in a handler is what it is in net/http: it is logged to [Config.Logger] and ends the connection, or
// the stream of HTTP/2, and not the process. Package middleware/recovery makes a 500 of it.
//
// # Limits
//
// The zero [Config] bounds the head of a request in size and time, the body in size, and the time without
// progress of streams. [Config.MaxStreams] and [Config.MaxStreamsPerClient] bound how many streams are open; one too
// many is told when to come back, and the log has a line about all of them every ten seconds at most.
// [Config.WriteTimeout] bounds ordinary requests and never a stream. The time that a
// body may take to arrive is not bounded; a handler that reads one sets a read deadline through
// [http.NewResponseController].
//
// # Shutdown
//
// [Server.Start] shuts down on SIGINT and SIGTERM, [Server.StartContext] and [Server.Serve] when their
// context ends, and [Server.Shutdown] at any time:
//
//  1. [Server.Ready] answers 503 and the listeners are closed. What was accepted has half a second for its first
//     request.
//  2. Every stream is told to say farewell and to end; new ones are refused.
//  3. Requests on open connections are answered, with "Connection: close" or GOAWAY.
//  4. When nothing is left, Shutdown returns nil.
//  5. At the deadline what is left is cut: contexts end with engine.ErrCut as their cause, connections are
//     closed. Shutdown returns an error that wraps the cause of the deadline.
//  6. What runs on regardless, half a second later, is reported by a [StuckError], which wraps
//     [ErrStuckCallbacks], with its routes, and left alone: Go can't end a goroutine.
//
// All of it is safe to call twice, before Serve, and concurrently with it.
//
// Sockets that the process was started with (see [Listeners]) stay open in the process that passed them: the next
// process serves them, and no connection is refused between the two.
//
// # Testing
//
// A Server and a HandlerFunc are http.Handlers: [net/http/httptest] serves both, and a recorder is enough for
// everything that isn't a stream. Server.Serve takes any [net.Listener], an in-memory one inside a
// testing/synctest bubble included. For streams use package celeristest, which does that.
package celeris
