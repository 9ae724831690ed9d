-- ARGV: TTL in milliseconds, epoch of a new stream, length to trim to, records.
-- Answer: epoch, head before, ID of each record.
local epoch, head = known()
if not epoch then
	epoch, head = renew(ARGV[2])
end

local t = redis.call('TIME')
local ms, seq = t[1] * 1000 + math.floor(t[2] / 1000), 0
local last = redis.call('HGET', state, 'last')
if last then
	local m, s = string.match(last, '^(%d+)-(%d+)$')
	if tonumber(m) >= ms then -- the same millisecond, or the clock jumped back
		ms, seq = tonumber(m), tonumber(s) + 1
	end
end

local answer = {epoch, head}
for i = 4, #ARGV do
	if seq >= 1048576 then
		ms, seq = ms + 1, 0
	end
	if ms >= 17592186044416 then
		return redis.error_reply('ERR the clock is beyond the year 2527')
	end
	local id, before = string.format('%.0f-%.0f', ms, seq), head
	if head == '0-0' then
		before = epoch
	end
	local added = redis.pcall('XADD', log, 'MAXLEN', '~', ARGV[3], id, 'p', before, 'r', ARGV[i])
	if type(added) == 'table' then
		if i == 4 and head ~= '0-0' and string.find(added.err, 'equal or smaller', 1, true) then
			-- Newer entries were there, and deleted.
			epoch, head = renew(ARGV[2])
			answer = {epoch, head}
			redis.call('XADD', log, id, 'p', epoch, 'r', ARGV[i])
		else
			return added
		end
	end
	head = id
	answer[#answer + 1] = id
	seq = seq + 1
end
redis.call('HSET', state, 'head', head, 'last', head, 'len', redis.call('XLEN', log))
touch(ARGV[1])
return answer
