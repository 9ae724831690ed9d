package pgkv

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// SQLSTATE codes with which the increment of what is no number fails.
const (
	notNull    = "23502"
	outOfRange = "22003"
)

// queries are the statements for one table. Now is the clock of the server at the time of looking: a statement may
// have waited for a lock since it began.
type queries struct {
	create, index            string
	get, set, delete, setNX  string
	increment, getAndDelete  string
	mget, scan, deletePrefix string
	clean                    string
}

func newQueries(table []string) *queries {
	index := table[len(table)-1] + "_expires"
	replace := strings.NewReplacer(
		"$table", pgx.Identifier(table).Sanitize(),
		"$index", pgx.Identifier{index}.Sanitize(),
		"$alive", "(kv.expires IS NULL OR kv.expires > clock_timestamp())",
		"$ends", "clock_timestamp() + $3::bigint * interval '1 microsecond'", // NULL if $3 is
		"$range", "kv.key >= $1 AND ($2::bytea IS NULL OR kv.key < $2)",
	).Replace
	return &queries{
		create: replace(`CREATE TABLE IF NOT EXISTS $table (
			key bytea PRIMARY KEY,
			value bytea NOT NULL,
			expires timestamptz
		)`),
		index: replace(`CREATE INDEX IF NOT EXISTS $index ON $table (expires) WHERE expires IS NOT NULL`),
		get:   replace(`SELECT value FROM $table AS kv WHERE key = $1 AND $alive`),
		set: replace(`INSERT INTO $table (key, value, expires) VALUES ($1, $2, $ends)
			ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = $ends`),
		delete: replace(`DELETE FROM $table WHERE key = $1`),
		setNX: replace(`INSERT INTO $table AS kv (key, value, expires) VALUES ($1, $2, $ends)
			ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = $ends WHERE NOT $alive`),
		// What is no number becomes NULL, which the table refuses.
		increment: replace(`INSERT INTO $table AS kv (key, value, expires) VALUES ($1, convert_to($2::bigint::text, 'UTF8'), $ends)
			ON CONFLICT (key) DO UPDATE SET expires = $ends, value = convert_to((CASE
				WHEN NOT $alive THEN $2::bigint
				WHEN encode(kv.value, 'escape') ~ '^(0|-?[1-9][0-9]{0,18})$' THEN encode(kv.value, 'escape')::bigint + $2::bigint
			END)::text, 'UTF8')
			RETURNING value`),
		getAndDelete: replace(`DELETE FROM $table AS kv WHERE key = $1 RETURNING value, $alive`),
		mget: replace(`SELECT asked.n, kv.value FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (key, n)
			JOIN $table AS kv ON kv.key = asked.key WHERE $alive`),
		scan: replace(`SELECT key FROM $table AS kv WHERE $range AND $alive ORDER BY key LIMIT $3`),
		// The order in which rows are locked keeps two of them from waiting for each other.
		deletePrefix: replace(`WITH page AS (SELECT key FROM $table AS kv WHERE $range ORDER BY key LIMIT $3 FOR UPDATE)
			DELETE FROM $table AS kv USING page WHERE kv.key = page.key RETURNING kv.key`),
		// What is locked is being replaced, or removed by another; now() and not clock_timestamp() can use the index.
		clean: replace(`WITH page AS (SELECT key FROM $table WHERE expires <= now() LIMIT $1 FOR UPDATE SKIP LOCKED)
			DELETE FROM $table AS kv USING page WHERE kv.key = page.key`),
	}
}
