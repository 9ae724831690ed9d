-- A stream: KEYS[1], its state, is a hash of
--   epoch  the stream's
--   head   the ID of its newest record, 0-0 if it never had one
--   last   the newest ID it gave out in any epoch
--   len    the length of the log as of head
-- KEYS[2], its log, is a Redis Stream of entries of
--   p  the ID of the record before, or the epoch for the first
--   r  the record
-- What writes does so first with a command that a full memory refuses, so that it is refused as a whole.

local state, log = KEYS[1], KEYS[2]

-- Returns the epoch and the head, or nil if there is no stream or its keys don't fit together.
local function known()
	local s = redis.call('HMGET', state, 'epoch', 'head', 'len')
	local epoch, head, len = s[1], s[2], redis.call('XLEN', log)
	if not epoch or not head then
		return nil
	end
	if head == '0-0' then
		if len > 0 then
			return nil
		end
		return epoch, head
	end
	if len == 0 or redis.call('XREAD', 'COUNT', 1, 'STREAMS', log, head) then
		return nil
	end
	-- Somebody trimmed or deleted; this must have left the newest.
	if len ~= tonumber(s[3]) and #redis.call('XRANGE', log, head, head) == 0 then
		return nil
	end
	return epoch, head
end

-- Starts the stream anew.
local function renew(epoch)
	redis.call('HSET', state, 'epoch', epoch, 'head', '0-0', 'len', 0)
	redis.call('UNLINK', log)
	return epoch, '0-0'
end

local function touch(ttl)
	redis.call('PEXPIRE', state, ttl)
	redis.call('PEXPIRE', log, ttl)
end
