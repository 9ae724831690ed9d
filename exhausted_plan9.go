package celeris

// exhausted is about errors that this system doesn't tell apart from others.
func exhausted(error) bool { return false }
