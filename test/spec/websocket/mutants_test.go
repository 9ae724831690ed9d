package wsspec

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// mutants are the reference's faults, with a part of the names of cases of which one has to notice.
var mutants = map[string]string{
	"a constant accept":                 "4.2.1/another key",
	"bytes behind the request are lost": "4.2.1/frames right behind",
	"any method":                        "4.2.1/POST",
	"any version of HTTP":               "4.2.1/HTTP/1.0",
	"any Upgrade":                       "4.2.1/Upgrade of",
	"any Connection":                    "4.2.1/Connection of",
	"any version":                       "4.2.1/an old version",
	"400 for a wrong version":           "4.2.1/a future version",
	"any number of keys":                "4.2.1/two keys",
	"any key":                           "4.2.1/a key of 17 bytes",
	"any origin":                        "4.2.1/another origin",
	"an origin that ends like the host": "4.2.1/an origin that ends",
	"masks":                             "5.3/",
	"RSV1 anywhere":                     "5.2/reserved bits 100",
	"RSV2 and RSV3":                     "5.2/reserved bits 011",
	"any opcode":                        "5.2/opcode 3",
	"control frames in fragments":       "5.5/a pong in fragments",
	"a continuation of nothing":         "5.4/a continuation of nothing",
	"a message within a message":        "5.4/a text between fragments",
	"unmasked frames":                   "5.1/",
	"long control frames":               "5.5/a ping of 126",
	"lengths that aren't minimal":       "5.2/125 bytes with",
	"1002 for too large":                "10.4/a byte more",
	"any text":                          "8.1/U+D800",
	"text is judged when it is whole":   "8.1/U+D800 is refused before the frame",
	"text comes back as binary":         "5.2/text of 125 bytes",
	"pings wait for the message":        "5.4/a ping between two fragments is",
	"pongs are empty":                   "5.5.2/a ping with text",
	"pongs are unexpected":              "5.5.3/a pong nobody",
	"close is not answered":             "5.5.1/nothing but",
	"a close of one byte":               "5.5.1/a close of one byte",
	"any close code":                    "7.4/close 1005",
	"any close reason":                  "5.5.1/a reason that is no",
	"close is always 1000":              "7.4/close 4999",
	"data behind close":                 "5.5.1/a message behind",
	"the connection stays open":         "5.5.1/nothing but",
	"no compression":                    "7692.7.1/accepts permessage-deflate",
	"only the first offer":              "7692.7.1/takes the second",
	"duplicate parameters":              "7692.7.1/declines server_no_context_takeover; server",
	"quoted parameters":                 `7692.7.1/declines server_max_window_bits="10"`,
	"leading zeros":                     "7692.7.1/declines server_max_window_bits=010",
	"unknown parameters":                "7692.7.1/declines unknown",
	"unasked client_max_window_bits":    "7692.7.1/takes the offer",
	"server takeover not answered":      "7692.7.1/answers server_no",
	"server takeover ignored":           "7692.7.1/permessage-deflate; server_no_context_takeover, the same",
	"server window ignored":             "7692.7.1/permessage-deflate; server_max_window_bits=9,",
	"client takeover forgotten":         "7692.7.1/permessage-deflate; client_max_window_bits, the same",
	"RSV1 missing":                      "7692.7.1/answers client_max",
	"any compressed data":               "7692.7.2/rubbish",
	"any inflated size":                 "7692.7.2/a byte more",
}

// TestMutants_AreNoticed has servers that are wrong in one thing each, which one of the cases about it must see. All are
// tried at once: most of the time they wait for what doesn't come.
func TestMutants_AreNoticed(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	var cases []Case
	for fault, start := range inOrder(mutants) {
		target := startReference(t, fault).target()
		target.Patience = 3 * time.Second
		if cases == nil {
			cases = Cases(target)
		}
		about := slices.DeleteFunc(slices.Clone(cases), func(c Case) bool { return !strings.HasPrefix(c.Name, start) })
		wg.Go(func() {
			failed := check(t.Context(), target, about)
			if len(failed) == 0 {
				t.Errorf("%s: went unnoticed by %d cases whose names begin with %q", fault, len(about), start)
			}
			for name, err := range failed {
				t.Logf("%s: %s: %v", fault, name, err)
			}
		})
	}
	wg.Wait()
}
