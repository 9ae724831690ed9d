// Package loadgen is a client that holds very many event streams at next to no cost: a process of its own, with one
// thread and no memory but a few bytes for each connection, so that what is measured is the server.
//
// # Usage
//
// A benchmark or test runs its own binary once more and lets that one be the client, before anything else:
//
//	func TestMain(m *testing.M) {
//		if os.Getenv("LOADGEN") != "" {
//			if err := loadgen.Serve(os.Stdin, os.Stdout); err != nil {
//				fmt.Fprintln(os.Stderr, err)
//				os.Exit(1)
//			}
//			return
//		}
//		os.Exit(m.Run())
//	}
//
// It starts that process with [Start], opens streams with [Fleet.Connect], and waits with [Fleet.Await] until every
// one of them has so many events. What counts as delivered is what the client has read, connection by connection.
// One event too many, one connection that ends, or one that isn't answered with status 200, is an error.
//
// Servers that may lose or repeat events are measured with [Fleet.Open] and [Fleet.Reach]: their events begin with a
// number, and gaps and repetitions are counted. [Fleet.Watch] takes down when events arrive, [Fleet.Relax] keeps the
// client out of the server's way, and [Fleet.CPU] tells what it costs itself.
//
// WebSockets are opened with [Streams.WebSocket]; their messages are numbered, and [Fleet.Echo] has them speak.
//
// The client needs Linux. Streams are plain HTTP/1.1, and every event of one that is no WebSocket has one line
// of data.
package loadgen
