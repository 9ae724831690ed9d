// Package sse serves Server-Sent Events (HTML 9.2): streams that a browser's EventSource keeps open and resumes by itself.
//
// # Usage
//
// [New] makes a handler of a [Config]. With a [Broker], clients follow topics and [Broker.Publish] reaches all of them:
//
//	broker, err := sse.NewBroker(sse.BrokerConfig{})
//	...
//	app.GET("/events", sse.New(sse.Config{Broker: broker}))
//	...
//	broker.Publish(ctx, sse.Event{Data: "hello"})
//
// Config.Topics says which topics a request follows, and Publish which ones an event goes to; the topic "" is one like the
// others, not all of them.
//
// With a Handler, a goroutine of its own writes to one [Client]. It may subscribe that client to topics too:
//
//	app.GET("/launch/{from}", sse.New(sse.Config{Handler: func(c *sse.Client) {
//		n, _ := strconv.Atoi(c.Request().PathValue("from"))
//		if last, err := strconv.Atoi(c.LastEventID()); err == nil {
//			n = last - 1 // it comes back
//		}
//		for ; n >= 0 && c.Send(sse.Event{ID: strconv.Itoa(n), Data: strconv.Itoa(n)}) == nil; n-- {
//			select {
//			case <-time.After(time.Second):
//			case <-c.Context().Done():
//				return
//			}
//		}
//	}}))
//
// # Streams that end
//
// When a Handler returns, a browser comes back after RetryInterval and the Handler runs again. To end for good, send a last
// event on which the page calls close, or answer the comeback with an error in OnConnect, such as a 410: an EventSource gives
// up on any status but 200.
//
// # Ordering and ids
//
// An id is "<epoch>-<position>": a point in the order of everything that a broker published, not an event of a topic. Only
// the broker writes ids. On one connection they never go down, and an id never passes an event that is due and was not
// delivered without a resync between. A private event ([Client.Send]) has no id and stands behind everything that was
// published before the call, and before everything later. A stream opens with its position, and silence is broken with it,
// so that a client of a quiet topic stays resumable.
//
// # Resuming
//
// A client that comes with a Last-Event-ID gets what the topics it opens with have said since, once and in order, while
// their History covers it. Otherwise it gets one event, before any other:
//
//	id: <where it goes on>
//	event: resync
//	data: {"dropped":N,"reason":"expired"}
//
// N is the number of events it lost, 0 if that is not known. Reasons: "lagged" (it was too slow), "expired" (it was away for
// too long), "hole" (events were lost before they were stored), "restarted" (the id is of another broker, or of one before a
// restart, or the store has lost its place), "unknown_id" (the id is malformed or in the future), and without an id "removed" (no more events will come) and "private" (events of Client.Send were dropped).
// [BrokerConfig.Snapshot] sends the application's state in its place.
//
// # Stores
//
// With [BrokerConfig.ReplayStore] the order is that of the store's stream, and ids are the store's: they mean the same after
// a restart, and in every process that has the stream open. Each follows it, so that an event reaches the clients of all,
// and a client may come back to any of them. Publish returns when the event is stored and has its place in the log. Delivery
// waits for no store; what memory has forgotten is read from it, in chunks that all who missed the same share.
//
// A store that fails makes Publish fail ([ErrStore]); streams stay open, and everything goes on when it is back. One that
// has lost what was published, or has another epoch, makes every client resync ("restarted").
//
// Config.ReplayKey gives each user or conversation a history of its own. [Append] adds to one from anywhere, also while
// nobody reads it.
//
// # Slow readers
//
// Publish never waits for a reader. A subscriber is slow when its connection takes no bytes while more than SubscriberBuffer
// events or MaxLagBytes are due, and it was within these limits before: a burst never makes a fast reader slow, and a resume
// from far back is not a lag. OnSlowSubscriber then decides. A reader that accepts nothing at all for the server's MaxStall
// is cut; so is one that takes not even its opening, which is not judged before.
//
// MaxQueueDepth, OnSlowClient and ClientPolicy are about private events, SubscriberBuffer, OnSlowSubscriber and BrokerPolicy
// about topics.
//
// # Shutdown
//
// A stream that the server has no room for, or that comes while it shuts down, is turned away: an EventSource in a
// browser gets a 200 that ends at once and tells it when to come back, everybody else a 503 with Retry-After.
//
// The shutdown of a celeris server, [Broker.Close] and MaxAge deliver what was published before and say farewell: a
// reconnection time with a random part, and Config.Farewell. From its beginning Client.Send answers [ErrClientClosed]: last
// words belong in Farewell, which does not wait for the Handler. Shutdown does. In a foreign http.Server, let its RegisterOnShutdown close the
// broker or shut the celeris server down; Shutdown would otherwise wait for the streams.
//
// # Reading
//
// [Read] and [NewReader] parse a stream. [Connect] follows one across reconnections, of this package or of any server, and
// [ParseResync] tells when events were lost.
//
// # Testing
//
// Package celeristest serves a handler on a network in memory, inside testing/synctest: heartbeats, slow readers, resumes
// and shutdowns are then tested in no time. Handlers run on net/http/httptest too.
package sse
