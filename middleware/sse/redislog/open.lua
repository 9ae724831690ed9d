-- ARGV: TTL in milliseconds, epoch of a new stream. Answer: epoch, head.
local epoch, head = known()
if not epoch then
	epoch, head = renew(ARGV[2])
end
touch(ARGV[1])
return {epoch, head}
