-- ARGV: TTL in milliseconds, epoch of a new stream, number of records to keep, number of records, records.
-- Answer: epoch, head before, head now.
local epoch, head, len, s = known()
local last, total, marks = s[4], tonumber(s[5]) or 0, s[6] or ''
local function anew()
	epoch, head = renew(ARGV[2])
	len, total, marks = 0, 0, ''
end
if not epoch then
	anew()
end
local keep, n = tonumber(ARGV[3]), tonumber(ARGV[4])

-- The number that the first record gets.
local t = redis.call('TIME')
local ms, seq = t[1] * 1000 + math.floor(t[2] / 1000), 0
if last then
	local m, s = string.match(last, '^(%d+)-(%d+)$')
	if tonumber(m) >= ms then -- the same millisecond, or the clock jumped back
		ms, seq = tonumber(m), tonumber(s) + 1
	end
end
if seq + n > 1048576 then
	ms, seq = ms + 1, 0
end
if ms >= 17592186044416 then
	return redis.error_reply('ERR the clock is beyond the year 2527')
end

local id = string.format('%.0f-%.0f', ms, seq + n - 1)
local function add()
	return redis.pcall('XADD', log, id, 'p', head == '0-0' and epoch or head, 'n', n, 'r', ARGV[5])
end
local added = add()
if type(added) == 'table' and head ~= '0-0' and string.find(added.err, 'equal or smaller', 1, true) then
	-- Newer entries were there, and deleted.
	anew()
	added = add()
end
if type(added) == 'table' then
	return added
end

len, total = len + 1, total + n

-- Trim to the newest mark that leaves enough. One is set for each eighth of what is kept.
local newest = tonumber(string.match(marks, '(%d+) %S+ $') or 0)
if total - newest >= keep / 8 then
	marks = marks .. string.format('%.0f', total) .. ' ' .. id .. ' '
	local oldest, rest
	for at, mark, after in string.gmatch(marks, '(%d+) (%S+) ()') do
		if total - tonumber(at) < keep then
			break
		end
		oldest, rest = mark, after
	end
	if oldest then
		len = len - redis.call('XTRIM', log, 'MINID', '~', oldest, 'LIMIT', 0)
		marks = string.sub(marks, rest)
	end
	redis.call('HSET', state, 'marks', marks)
end
redis.call('HSET', state, 'head', id, 'last', id, 'len', len, 'total', string.format('%.0f', total))
touch(ARGV[1])
return {epoch, head, id}
