-- ARGV: TTL in milliseconds, new epoch, epoch to replace. Answer: epoch, head.
local epoch, head = known()
if not epoch or epoch == ARGV[3] then
	epoch, head = renew(ARGV[2])
end
touch(ARGV[1])
return {epoch, head}
