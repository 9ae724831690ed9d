package main

import (
	"context"
	"crypto/rand"
	"log"
	"strings"
	"time"

	"github.com/goceleris/celeris/middleware/sse"
)

const (
	// prefix begins all keys in Redis, and ttl is how long they are kept.
	prefix = "resumable:"
	ttl    = 24 * time.Hour
)

func questionKey(id string) string { return prefix + "question:" + id }

// ask begins an answer and returns its name, and the position before its first word.
func (w *writer) ask(ctx context.Context, question string) (id, from string, err error) {
	id = rand.Text()
	epoch, _, err := w.store.Open(ctx, id)
	if err != nil {
		return "", "", err
	}
	if err := w.redis.Set(ctx, questionKey(id), question, ttl).Err(); err != nil {
		return "", "", err
	}
	w.answer(id, question)
	return id, sse.FormatID(epoch, 0), nil
}

// resume goes on with the answers that an earlier process has not finished.
func (w *writer) resume() error {
	keys := w.redis.Scan(w.ctx, 0, questionKey("*"), 100).Iterator()
	for keys.Next(w.ctx) {
		question, err := w.redis.Get(w.ctx, keys.Val()).Result()
		if err != nil {
			return err
		}
		w.answer(strings.TrimPrefix(keys.Val(), questionKey("")), question)
	}
	return keys.Err()
}

// answer writes one answer to its end. When the store fails it looks again how much is there: that is also what tells
// whether a word was written whose outcome is unknown.
func (w *writer) answer(id, question string) {
	w.working.Go(func() {
		for {
			err := w.write(id, question)
			if err == nil || w.ctx.Err() != nil {
				return
			}
			log.Printf("answer %s: %v", id, err)
			select {
			case <-time.After(time.Second):
			case <-w.ctx.Done():
			}
		}
	})
}

// write writes what is missing.
func (w *writer) write(id, question string) error {
	written := 0
	for record, err := range w.store.Since(w.ctx, id, "") {
		switch {
		case err != nil:
			return err
		case record.Event.Event == "done":
			return nil
		}
		written++
	}
	pause := time.NewTicker(w.pace)
	defer pause.Stop()
	all := words(question)
	for _, word := range all[min(written, len(all)):] {
		select {
		case <-pause.C:
		case <-w.ctx.Done():
			return w.ctx.Err()
		}
		if _, err := sse.Append(w.ctx, w.store, id, sse.Event{Data: word}); err != nil {
			return err
		}
	}
	_, err := sse.Append(w.ctx, w.store, id, sse.Event{Event: "done"})
	return err
}

// words is the answer. The same question has the same one: where a model's answer can't be had twice, ask it to go on
// behind what is written.
func words(question string) []string {
	return strings.SplitAfter("You asked: “"+strings.Join(strings.Fields(question), " ")+"” That is a good question. "+text, " ")
}

const text = `Before I answer it, think of what happens to these words. Each of them is an event, appended to a stream in ` +
	`Redis by a goroutine that does not know you. Your page holds a position in that stream. Close the laptop, and the ` +
	`writing goes on; open it, and the page says where it was and gets what it missed, once and in order. Kill the server ` +
	`with signal nine, and nothing that you have read is lost, for you have read nothing that Redis did not have. Start it ` +
	`again: it looks for answers without an end, counts the words of this one, and writes the next. You will see a pause in ` +
	`the middle of a sentence, and no seam. Another process that follows the same Redis could have served you meanwhile, ` +
	`from the very same position. And now the answer to your question: it depends.`
