package store

// Restrict returns kv with these abilities and no others.
func Restrict(kv *MemoryKV, a Abilities) KV { return restrict(kv, a) }
