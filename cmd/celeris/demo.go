package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/goceleris/celeris"
)

const (
	// defaultAddr is loopback: vital signs are nobody else's business unless the user says so.
	defaultAddr = "127.0.0.1:8080"
	// drainTimeout bounds the time between the signal and the exit.
	drainTimeout = 5 * time.Second
)

const demoUsage = `Usage: celeris demo [-addr host:port]

Publishes this machine's vital signs (CPU, memory, network, load) five times a second
and shows them in a web page. End it with Ctrl-C.

`

// runDemo serves the demo until ctx ends or the process is asked to end, says farewell to every open
// stream and returns the exit status.
func runDemo(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("celeris demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {} // printed below, where it is known whether it was asked for
	explain := func(w io.Writer) {
		flags.SetOutput(w)
		fmt.Fprint(w, demoUsage)
		flags.PrintDefaults()
	}
	addr := flags.String("addr", defaultAddr, "`host:port` to listen on; port 0 takes any free port")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		explain(stdout)
		return exitOK
	case err != nil: // flags has printed the mistake
		explain(stderr)
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "celeris demo: unexpected argument %q\n", flags.Arg(0))
		explain(stderr)
		return exitUsage
	}

	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // streams want plain TCP sockets
	listener, err := lc.Listen(ctx, "tcp", *addr)
	if err != nil {
		fmt.Fprint(stderr, listenAdvice(*addr, err))
		return exitFailure
	}
	announce(stdout, *addr, listener.Addr())

	// A second signal ends the process at once, as if nobody had asked for the first.
	told := make(chan struct{})
	forget := context.AfterFunc(ctx, func() {
		defer close(told)
		fmt.Fprintln(stdout, "\nEnding: saying farewell to every open stream. Once more to end at once.")
		stop()
	})
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	err = serveDemo(ctx, listener, standardPlan, logger)
	if !forget() {
		<-told // stdout has one writer at a time
	}
	if err != nil {
		fmt.Fprintf(stderr, "celeris demo: %v\n", err)
		return exitFailure
	}
	fmt.Fprintln(stdout, "Ended.")
	return exitOK
}

// serveDemo publishes and serves on listener, which it closes, until ctx ends and every stream is gone. Slow readers
// are tried by that plan.
func serveDemo(ctx context.Context, listener net.Listener, p plan, logger *slog.Logger) error {
	app := celeris.New(celeris.Config{Logger: logger, DrainTimeout: drainTimeout})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // also when serving has failed, before anything is waited for
	d, err := newDemo(ctx, app, listener.Addr(), p, logger)
	if err != nil {
		listener.Close()
		return err
	}

	var publishing sync.WaitGroup
	publishing.Go(func() { d.publish(ctx, time.Tick(sampleInterval)) })
	err = app.Serve(ctx, shallow{listener.(*net.TCPListener)})
	cancel()
	publishing.Wait()

	closing, stop := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer stop()
	return errors.Join(err, d.close(closing))
}

// sendBuffer bounds, in bytes, what the system takes in for a client that does not read. It would let that
// grow to megabytes: minutes of a slow reader's lag, out of everyone's sight.
const sendBuffer = 16 << 10

// shallow is a listener whose connections have send buffers of sendBuffer bytes.
type shallow struct{ *net.TCPListener }

// Accept implements [net.Listener]. It returns connections as they are, not wrapped.
func (l shallow) Accept() (net.Conn, error) {
	conn, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	_ = conn.SetWriteBuffer(sendBuffer) // it is served all the same
	return conn, nil
}

// announce prints where the demo is to be found and how to see it without a browser.
func announce(w io.Writer, addr string, at net.Addr) {
	url := "http://" + visitable(at)
	fmt.Fprintf(w, "This machine, live:      %s\nThe stream in a terminal: curl -N %s/events\n", url, url)
	if tcp, ok := at.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		fmt.Fprintf(w, "\nListening on %s: whoever reaches this machine sees its vital signs.\n", addr)
	}
	fmt.Fprintln(w, "\nCtrl-C ends it.")
}

// visitable returns at as a host and port that a browser on this machine can open.
func visitable(at net.Addr) string {
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		return at.String()
	}
	if tcp.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return tcp.String()
}

// wsaAddrInUse is what Windows calls EADDRINUSE; package syscall has another, invented number there.
const wsaAddrInUse = syscall.Errno(10048)

// listenAdvice explains why the demo can't listen on addr and what to do about it.
func listenAdvice(addr string, err error) string {
	host, port, splitErr := net.SplitHostPort(addr)
	switch {
	case splitErr != nil:
		return fmt.Sprintf("celeris demo: -addr %q is not host:port, as in %s\n", addr, defaultAddr)
	case errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, wsaAddrInUse):
		free := net.JoinHostPort(host, "0")
		advice := fmt.Sprintf("celeris demo: port %s is taken: another program listens on %s.\n"+
			"Take any free port:   celeris demo -addr %s\n", port, addr, free)
		switch runtime.GOOS {
		case "linux":
			advice += fmt.Sprintf("See who has this one: ss -ltnp 'sport = :%s'\n", port)
		case "darwin", "freebsd":
			advice += fmt.Sprintf("See who has this one: lsof -nP -iTCP:%s -sTCP:LISTEN\n", port)
		}
		return advice
	}
	return fmt.Sprintf("celeris demo: can't listen on %s: %v\n", addr, err)
}
