package native

import (
	"testing"

	"github.com/goceleris/celeris/internal/mutant"
)

// TestMutants shows that the tests see the rules of this package.
func TestMutants(t *testing.T) {
	suite := mutant.Suite{
		Switch: "ENGINE_MUTANTS", Dir: ".", Run: "TestPoller|TestConn|TestTake|TestSender|TestResult", Timeout: "10s",
		MayHang: true, Mutants: mutants,
	}
	suite.Test(t)
}

// mutants are rules of package native, switched off one at a time.
var mutants = []mutant.Mutant{
	{Name: "no DEL before close", Run: "TestConn_LeavesEpollBeforeItIsClosed", Edits: []mutant.Edit{
		{"poller_linux.go", "\t_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, c.fd, nil) // it was added\n", ""}}},
	{Name: "close before DEL", Run: "TestConn_LeavesEpollBeforeItIsClosed", Edits: []mutant.Edit{
		{"conn_linux.go", "\tif c.watched {\n", "\tif c.keep == nil {\n\t\tdefer unix.Close(c.fd)\n\t\tc.fd, _ = unix.Dup(0)\n\t}\n\tif c.watched {\n"}}},
	{Name: "generation ignored", Run: "TestPoller_DropsWhatIsStale", Edits: []mutant.Edit{
		{"poller_linux.go", "if s.conn == nil || s.gen != e.Pad {", "if s.conn == nil {"}}},
	{Name: "generation stands still", Run: "TestPoller_DropsWhatIsStale", Edits: []mutant.Edit{
		{"poller_linux.go", "\ts.gen++\n", ""}}},
	{Name: "places are never used again", Run: "TestPoller_UsesPlacesAgain", Edits: []mutant.Edit{
		{"poller_linux.go", "\tp.free = append(p.free, c.index)\n", ""}}},
	{Name: "Arm forgets", Run: "TestPoller_TellsOfRoom", Edits: []mutant.Edit{
		{"conn_linux.go", "{ c.armed = true }", "{}"}}},
	{Name: "tells of room without being asked", Run: "TestPoller_TellsOfRoom", Edits: []mutant.Edit{
		{"poller_linux.go", "if c.armed && e.Events&", "if e.Events&"}}},
	{Name: "stays armed", Run: "TestPoller_TellsOfRoom", Edits: []mutant.Edit{
		{"poller_linux.go", "c.armed, what.Writable = false, true", "what.Writable = true"}}},
	{Name: "doesn't ask for room", Run: "TestPoller_TellsOfRoom", Edits: []mutant.Edit{
		{"poller_linux.go", "unix.EPOLLRDHUP | unix.EPOLLOUT | unix.EPOLLET", "unix.EPOLLRDHUP | unix.EPOLLET"}}},
	{Name: "levels for edges", Run: "TestPoller_TellsOfRoom|TestPoller_TellsWhatComes", Edits: []mutant.Edit{
		{"poller_linux.go", " | unix.EPOLLOUT | unix.EPOLLET", " | unix.EPOLLOUT"}}},
	{Name: "a wake is lost", Run: "TestPoller_WakesFromAnywhere", Edits: []mutant.Edit{
		{"poller_linux.go", "case p.wakes <- struct{}{}:\n", "case p.wakes <- struct{}{}:\n\t\t<-p.wakes\n"}}},
	{Name: "the watcher looks once", Run: "TestPoller_TellsWhileItWaits", Edits: []mutant.Edit{
		{"poller_linux.go", "\t\tp.watched = false\n", ""}}},
	{Name: "the watcher stays", Run: "TestPoller_CloseEndsItsGoroutine", Edits: []mutant.Edit{
		{"poller_linux.go", "\tclose(p.again)\n", ""}, {"poller_linux.go", "\tp.done.Wait()\n", ""},
		{"poller_linux.go", "return readable(int(fd)) }) != nil {\n\t\t\treturn", "return readable(int(fd)) }) != nil {\n\t\t\tcontinue"}}},
	{Name: "short send taken for full", Run: "TestSender", Edits: []mutant.Edit{
		{"send_linux.go", "return n, shard.ErrRefused", "return offered, nil"}}},
	{Name: "short send is no refusal", Run: "TestResult", Edits: []mutant.Edit{
		{"send_linux.go", "return n, shard.ErrRefused", "return n, nil"}}},
	{Name: "what was not offered is refused", Run: "TestResult", Edits: []mutant.Edit{
		{"send_linux.go", "if i == maxVectors {", "if i == 2*maxVectors {"}}},
	{Name: "more pieces than a call takes", Run: "TestSender", Edits: []mutant.Edit{
		{"send_linux.go", "range bufs[:min(len(bufs), maxVectors)] {", "range bufs {"}}},
	{Name: "vectors pin the log", Run: "TestSender", Edits: []mutant.Edit{
		{"send_linux.go", "\tclear(s.vectors) // what waits here pins no log\n", ""}}},
	{Name: "dup not closed", Run: "TestTake_MakesTheSocketItsOwn", Edits: []mutant.Edit{
		{"conn_linux.go", "\t_ = unix.Close(c.fd)\n}", "}"}}},
	{Name: "net.Conn not closed", Run: "TestTake_MakesTheSocketItsOwn", Edits: []mutant.Edit{
		{"conn_linux.go", "\t\t_ = c.Close() // the socket lives on in our descriptor\n", ""}}},
	{Name: "kept net.Conn not closed", Run: "TestTake_WithoutADescriptor", Edits: []mutant.Edit{
		{"conn_linux.go", "\t\t_ = c.keep.Close()\n\t\treturn\n", "\t\treturn\n"}}},
	{Name: "children inherit", Run: "TestTake_MakesTheSocketItsOwn", Edits: []mutant.Edit{
		{"conn_linux.go", "unix.F_DUPFD_CLOEXEC, 0", "unix.F_DUPFD, 0"}}},
	{Name: "what embeds a connection is parked", Run: "TestParks", Edits: []mutant.Edit{
		{"conn_linux.go", "\tcase *net.TCPConn, *net.UnixConn:\n\t\treturn true\n", "\tcase syscall.Conn:\n\t\treturn true\n"}}},
	{Name: "overrules the program", Run: "TestTake_RespectsWhatTheProgramHasSet", Edits: []mutant.Edit{
		{"conn_linux.go", "locked&unix.SOCK_SNDBUF_LOCK == 0", "true"}}},
	{Name: "user timeout below MaxStall", Run: "TestTake_SetsWhatAStreamWants", Edits: []mutant.Edit{
		{"conn_linux.go", "maxStall.Milliseconds()+userTimeoutMargin.Milliseconds()", "maxStall.Milliseconds()/2"}}},
	{Name: "misses the end of the input", Run: "TestPoller_TellsWhatComes", Edits: []mutant.Edit{
		{"conn_linux.go", "case err != nil || n == 0:\n\t\t\treturn nil, true", "case err != nil || n == 0:\n\t\t\treturn nil, false"}}},
	{Name: "one that is not watched goes on", Run: "TestConn_ThatCannotBeWatchedIsOver", Edits: []mutant.Edit{
		{"conn_linux.go", "\t\treturn false\n", "\t\treturn true\n"}}},
	{Name: "TLS: what was not taken is forgotten", Run: "TestSecure_ServesWhatDoesNotFit", Edits: []mutant.Edit{
		{"secure_linux.go", "c.tls.rest = bytes.Clone(b)", "_ = bytes.Clone(b)"}}},
	{Name: "TLS: room is told before all is gone", Run: "TestSecure_ServesWhatDoesNotFit", Edits: []mutant.Edit{
		{"poller_linux.go", "c.tls == nil || !errors.Is(c.flush(), shard.ErrRefused)", "c.tls == nil || !errors.Is(nil, shard.ErrRefused)"},
		{"secure_linux.go", "\tif op.Err = c.flush(); op.Err != nil {\n\t\treturn\n\t}\n", ""}}},
	{Name: "TLS: no answer to a request for keys", Run: "TestSecure_ChangesItsKeys", Edits: []mutant.Edit{
		{"secure_linux.go", "err := c.say(s.out(p))", "err := c.say(s.out(p)[:0])"}}},
	{Name: "TLS: no bound to answers", Run: "TestSecure_BoundsAnswersThatNobodyReads", Edits: []mutant.Edit{
		{"secure_linux.go", "len(c.tls.rest)+len(b) > maxRest", "len(c.tls.rest)+len(b) < 0"}}},
	{Name: "TLS: answers to early records are lost", Run: "TestSecure_AnswersWhatCameEarly", Edits: []mutant.Edit{
		{"secure_linux.go", "rest: g.Out, ", ""}}},
	{Name: "TLS: no alert", Run: "TestSecure_RefusesAnotherHandshake", Edits: []mutant.Edit{
		{"secure_linux.go", "err := c.say(s.out(p))", "var err error\n\tif !over {\n\t\terr = c.say(s.out(p))\n\t}"}}},
	{Name: "TLS: no close_notify", Run: "TestSecure_SaysThatItCloses", Edits: []mutant.Edit{
		{"conn_linux.go", "\t\tc.part()\n", "\t\t_ = c.part\n"}}},
	{Name: "TLS: a close_notify is no departure", Run: "TestSecure_CloseNotifyIsADeparture", Edits: []mutant.Edit{
		{"secure_linux.go", "\t\tover = err != nil\n", "\t\tif err != nil {\n\t\t\tbreak\n\t\t}\n"}}},
	{Name: "TLS: what it has read is lost", Run: "TestSecure_HandsOnWhatTLSHasRead", Edits: []mutant.Edit{
		{"engine_linux.go", "\tp.Early = append(p.Early, early...)\n", "\t_ = early\n"}}},
}
