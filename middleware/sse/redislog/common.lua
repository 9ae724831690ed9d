-- A stream: KEYS[1], its state, is a hash of
--   epoch  the stream's
--   head   the ID of its newest entry, 0-0 if it never had one
--   last   the newest ID it gave out in any epoch
--   len    the length of the log as of head
--   total  the number of records in the epoch
--   marks  "<total> <ID> " for some entries, the oldest first: where to trim
-- KEYS[2], its log, is a Redis Stream of entries, each a batch of records. The entry's ID is the position of the last of
-- them, and those before it have the numbers before. Fields of an entry:
--   p  the ID of the entry before, or the epoch for the first
--   n  the number of records
--   r  the records
-- What writes does so first with a command that a full memory refuses, so that it is refused as a whole.

local state, log = KEYS[1], KEYS[2]

-- Returns the epoch, the head, the length of the log and the state's other fields, or nil if there is no stream or its keys
-- don't fit together; the fields are returned even then.
local function known()
	local s = redis.call('HMGET', state, 'epoch', 'head', 'len', 'last', 'total', 'marks')
	local epoch, head, len = s[1], s[2], redis.call('XLEN', log)
	if not epoch or not head then
		return nil, nil, 0, s
	end
	if head == '0-0' then
		if len > 0 then
			return nil, nil, 0, s
		end
		return epoch, head, 0, s
	end
	if len == 0 or redis.call('XREAD', 'COUNT', 1, 'STREAMS', log, head) then
		return nil, nil, 0, s
	end
	-- Somebody trimmed or deleted; this must have left the newest.
	if len ~= tonumber(s[3]) and #redis.call('XRANGE', log, head, head) == 0 then
		return nil, nil, 0, s
	end
	return epoch, head, len, s
end

-- Starts the stream anew.
local function renew(epoch)
	redis.call('HSET', state, 'epoch', epoch, 'head', '0-0', 'len', 0, 'total', 0, 'marks', '')
	redis.call('UNLINK', log)
	return epoch, '0-0'
end

-- Prolongs the stream's life, if this server may.
local function touch(ttl)
	redis.pcall('PEXPIRE', state, ttl)
	redis.pcall('PEXPIRE', log, ttl)
end
