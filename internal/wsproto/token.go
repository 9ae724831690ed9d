package wsproto

import "strings"

// isToken reports whether s is a token of RFC 9110 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func tokenByte(c byte) bool {
	switch {
	case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// trim takes optional white space away, RFC 9110 5.6.3.
func trim(s string) string { return strings.Trim(s, " \t") }

// HasToken reports whether a list of tokens in the lines of a header has one, in any case.
func HasToken(lines []string, token string) bool {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(trim(t), token) {
				return true
			}
		}
	}
	return false
}

// Tokens returns the elements of a list of tokens; it is not ok if one of them is none. Empty elements are left out, RFC
// 9110 5.6.1.2.
func Tokens(lines []string) (list []string, ok bool) {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if t = trim(t); t == "" {
				continue
			}
			if !isToken(t) {
				return nil, false
			}
			list = append(list, t)
		}
	}
	return list, true
}
