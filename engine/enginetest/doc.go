// Package enginetest is what every way of driving streams has to do, as tests: one body for an engine that parks
// streams and for the portable one, which has a goroutine for each.
//
// # Usage
//
// A [Rig] drives streams on connections in memory; [Parked] makes one of an engine, [Portable] one of package std.
//
//	func TestEngine(t *testing.T) {
//		enginetest.Run(t, func(t testing.TB) enginetest.Rig { return enginetest.Parked(t, sim.New()) })
//	}
//
// [Run] tests the rules below one by one; [Model] plays random schedules. Both run in bubbles of testing/synctest, where
// minutes take no time, and a goroutine that is left behind fails the test.
//
// # The viewers
//
// Whatever a test is about, every client in it knows what was published and what it is due. It parses the bytes of its
// connection and objects to an event that comes twice, in the wrong order, uninvited or torn; to an id that passes over
// an event that is still due; to a notice without a loss, or with a wrong count; to a private frame out of its place; to
// whatever comes behind a farewell; and to a stream that ends twice, or for a reason that it can't have.
//
// # The rules
//
//	Test                         What it pins
//	Order                        events of concurrent publishers arrive in the order of their positions, whatever the buffer
//	ExactlyOnce                  connections cut at every few bytes: nothing is lost and nothing comes twice
//	SeveralTopicsOnce            an event of several topics arrives once
//	JoinAndLeaveAreIntervals     what is published before a join or a leave returns is decided by it
//	ResumeIsAnEarlierCursor      a resume from any position gets what came since, and then goes on live
//	ResumeThatCannotBeIsTold     one notice with its reason, before anything else
//	PrivateFramesKeepTheirPlace  behind all events published before, in front of all later ones
//	EventsAreNeverTorn           what is begun is finished before private frames and the farewell
//	SlowReaderHurtsOnlyItself    everybody else gets everything while one stands still
//	ResyncOncePerEpisode         one question and one notice for each time that a reader falls behind
//	PolicyDrop                   skips to the head; what was seen and what was lost is all there was
//	PolicyRemove                 no more events and ids; the connection stays; its place is not lost
//	PolicyClose                  ends with a farewell, behind the event that was begun
//	PolicyCatchUp                gets everything, and is not asked about again until it has
//	PolicyLatest                 gets the newest of each key, and is told how many were skipped
//	BurstIsNoLag                 much at once makes no reader slow that takes it
//	LagIsSeenInSilence           a parked reader that falls behind with the last burst is judged though nothing follows
//	CallbacksAreContained        a callback that hangs or panics concerns its own stream only
//	HeartbeatsInSilence          one for each interval of silence, in time
//	NoHeartbeatWhileDataFlows    none within the interval after other bytes
//	HeartbeatCarriesPosition     it moves the place to resume from
//	NoHeartbeatWithinAnEvent     none between the bytes of an event
//	MaxStallEndsWhoStandsStill   a peer that takes nothing is given up in time
//	MaxStallSparesTheSteady      a slow peer that goes on taking bytes is not
//	MaxAge                       ends with a farewell, idle, busy or slow
//	HalfCloseIsDeparture         at once, in silence, behind unread bytes and amid an event
//	CloseIsDeparture             the same
//	ResetIsDeparture             the same
//	DisappearanceIsNoticed       a peer that vanishes without a sign is found by heartbeats
//	StrayBytesAreHarmless        what a client sends is ignored
//	StrayBytesAreBounded         and too much of it ends a parked stream
//	FarewellIsComplete           also with unread input; the bytes of the stream are counted right
//	LingerIsBounded              a parked connection waits for its client's end, for a second or 64 KiB
//	CutIsAtOnce                  amid an event too
//	EndIsToldOnce                however many ways there are at a time
//	ShutdownOfAThousand          all get their farewell and end
//	CloseEndsWhatIsLeft          lingering, standing still, just opening or too late
//	InboundGetsEveryByte         what a parked peer sends is handed on, in order, while it is sent to
//	InboundIsHeardFromTheBeginning  what came before it was parked comes first
//	InboundTakesTurns            one that sends much doesn't keep the others from being heard
//	PauseHoldsThePeerBack        what is not taken comes again; the peer fills its own buffers only
//	ResumeMayComeFirst           a resume before the pause is known is not lost
//	PeerThatListensMayLeave      the end of one that is listened to is a departure, at once
//	EnoughIsNoDeparture          behind the peer's last word its end changes nothing
//	EnoughFromOutside            the owner need not wait for the peer to have had enough of it
//	FarewellIsDueAfterTheLastWord  the wait for an owner that says none has an end
//	PartingWaitsForThePeer       the farewell, the peer's answer or a timeout, then the end of the sending side
//	SayingsGoBetweenFrames       what is said overtakes what waits, the newest only, and holds nothing up
//	SilentPeerIsAsked            a heartbeat goes to who is silent, and ends who stays so
//	NoGoroutinePerStream         a thousand parked streams cost none
//	Stats                        gauges and counters add up
package enginetest
