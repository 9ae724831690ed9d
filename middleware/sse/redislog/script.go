package redislog

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed common.lua
	commonLua string
	//go:embed append.lua
	appendLua string
	//go:embed open.lua
	openLua string
	//go:embed rotate.lua
	rotateLua string
	//go:embed page.lua
	pageLua string

	appendScript = newScript(appendLua)
	openScript   = newScript(openLua)
	rotateScript = newScript(rotateLua)
	pageScript   = newScript(pageLua)
)

// script is a Lua script, known to servers by its hash.
type script struct{ source, hash string }

func newScript(body string) script {
	source := commonLua + body
	sum := sha1.Sum([]byte(source))
	return script{source, hex.EncodeToString(sum[:])}
}

// command is a call of a script that notes whether it was sent.
type command struct {
	*redis.Cmd
	once bool         // it is not sent again
	sent *atomic.Bool // the client has begun to send it
}

// Args is what the client sends.
func (c command) Args() []any {
	c.sent.Store(true)
	return c.Cmd.Args()
}

// NoRetry tells the client whether it may send the command again when it doesn't know what became of it.
func (c command) NoRetry() bool { return c.once }

// run calls a script that may be called twice.
func (l *Log) run(ctx context.Context, s script, k keys, args ...any) ([]string, error) {
	reply, _, err := l.call(ctx, s, k, false, args)
	return reply, err
}

// call calls a script. With an error it also reports whether the script may have run.
func (l *Log) call(ctx context.Context, s script, k keys, once bool, args []any) (reply []string, unknown bool, err error) {
	reply, unknown, err = l.eval(ctx, "evalsha", s.hash, k, once, args)
	if err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") {
		reply, unknown, err = l.eval(ctx, "eval", s.source, k, once, args)
	}
	return reply, unknown, err
}

func (l *Log) eval(ctx context.Context, name, text string, k keys, once bool, args []any) (reply []string, unknown bool, err error) {
	all := append(make([]any, 0, 5+len(args)), name, text, 2, k.state, k.log)
	cmd := command{Cmd: redis.NewCmd(ctx, append(all, args...)...), once: once, sent: new(atomic.Bool)}
	cmd.SetFirstKeyPos(3)
	if err := l.cfg.Client.Process(ctx, cmd); err != nil {
		_, answered := err.(redis.Error) //nolint:errorlint // what wraps an answer adds that something else went wrong
		return nil, cmd.sent.Load() && !answered, err
	}
	values, err := cmd.Slice()
	if err != nil {
		return nil, true, err
	}
	reply = make([]string, len(values))
	for i, v := range values {
		s, ok := v.(string)
		if !ok {
			return nil, true, fmt.Errorf("unexpected %T in the answer", v)
		}
		reply[i] = s
	}
	return reply, false, nil
}
