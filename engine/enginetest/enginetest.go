package enginetest

import (
	"testing"
	"testing/synctest"

	"github.com/goceleris/celeris/internal/fanout"
)

// rule is a promise and how it is tested.
type rule struct {
	name  string
	cfg   fanout.Config
	check func(t *testing.T, w *world)
}

var rules = []rule{
	{"Order", fanout.Config{}, order},
	{"ExactlyOnce", fanout.Config{}, exactlyOnce},
	{"SeveralTopicsOnce", fanout.Config{}, severalTopicsOnce},
	{"JoinAndLeaveAreIntervals", fanout.Config{}, joinAndLeave},
	{"ResumeIsAnEarlierCursor", fanout.Config{History: 30, SubscriberBuffer: 30}, resume},
	{"ResumeThatCannotBeIsTold", fanout.Config{History: 10, SubscriberBuffer: 10}, cannotResume},
	{"PrivateFramesKeepTheirPlace", fanout.Config{}, privateFrames},
	{"EventsAreNeverTorn", fanout.Config{}, neverTorn},
	{"SlowReaderHurtsOnlyItself", fanout.Config{History: 5000}, onlyItself},

	{"ResyncOncePerEpisode", lagConfig, resyncOnce},
	{"PolicyDrop", lagConfig, policyDrop},
	{"PolicyRemove", lagConfig, policyRemove},
	{"PolicyClose", lagConfig, policyClose},
	{"PolicyCatchUp", lagConfig, policyCatchUp},
	{"PolicyLatest", lagConfig, policyLatest},
	{"BurstIsNoLag", lagConfig, burst},
	{"LagIsSeenInSilence", lagConfig, lastBurst},
	{"CallbacksAreContained", lagConfig, contained},

	{"HeartbeatsInSilence", fanout.Config{}, heartbeats},
	{"NoHeartbeatWhileDataFlows", fanout.Config{}, noHeartbeat},
	{"HeartbeatCarriesPosition", fanout.Config{}, heartbeatPosition},
	{"NoHeartbeatWithinAnEvent", fanout.Config{}, heartbeatWithin},
	{"MaxStallEndsWhoStandsStill", fanout.Config{}, stall},
	{"MaxStallSparesTheSteady", fanout.Config{}, steady},
	{"MaxAge", fanout.Config{}, age},

	{"HalfCloseIsDeparture", fanout.Config{}, halfClose},
	{"CloseIsDeparture", fanout.Config{}, fullClose},
	{"ResetIsDeparture", fanout.Config{}, reset},
	{"DisappearanceIsNoticed", fanout.Config{}, disappearance},
	{"StrayBytesAreHarmless", fanout.Config{}, strayBytes},
	{"StrayBytesAreBounded", fanout.Config{}, strayFlood},
	{"FarewellIsComplete", fanout.Config{}, farewellComplete},
	{"LingerIsBounded", fanout.Config{}, linger},
	{"CutIsAtOnce", fanout.Config{}, cutAtOnce},
	{"EndIsToldOnce", fanout.Config{}, toldOnce},
	{"ShutdownOfAThousand", fanout.Config{}, shutdown},
	{"CloseEndsWhatIsLeft", fanout.Config{}, closeRig},
	{"InboundGetsEveryByte", fanout.Config{}, everyByte},
	{"InboundIsHeardFromTheBeginning", fanout.Config{}, earlyBytes},
	{"InboundTakesTurns", fanout.Config{}, takesTurns},
	{"PauseHoldsThePeerBack", fanout.Config{}, pauses},
	{"ResumeMayComeFirst", fanout.Config{}, resumesFirst},
	{"PeerThatListensMayLeave", fanout.Config{}, inboundDeparture},
	{"EnoughIsNoDeparture", fanout.Config{}, enough},
	{"EnoughFromOutside", fanout.Config{}, enoughFromOutside},
	{"FarewellIsDueAfterTheLastWord", fanout.Config{}, lateFarewell},
	{"PartingWaitsForThePeer", fanout.Config{}, partings},
	{"SayingsGoBetweenFrames", fanout.Config{}, sayings},
	{"SilentPeerIsAsked", fanout.Config{}, silence},

	{"NoGoroutinePerStream", fanout.Config{}, goroutines},
	{"Stats", fanout.Config{}, stats},
}

// Run tests the rules on rigs that open makes, one for each rule, in a bubble of its own.
func Run(t *testing.T, open func(t testing.TB) Rig) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, open(t), r.cfg)
				defer func() {
					w.end()
					for _, s := range w.wrong {
						t.Error(s)
					}
				}()
				r.check(t, w)
			})
		})
	}
}
