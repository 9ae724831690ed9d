-- ARGV: ID to read behind or '-' for all, number of records, number of bytes, TTL in milliseconds or '' to leave it.
-- Answer: nothing if there is no stream; otherwise epoch, head, and of each entry its ID, p and r. There are more entries
-- if the last is not head.
local epoch, head = known()
if not epoch then
	return {}
end
if ARGV[4] ~= '' then
	redis.pcall('PEXPIRE', state, ARGV[4]) -- a replica can't
	redis.pcall('PEXPIRE', log, ARGV[4])
end

local answer = {epoch, head}
local from, left, bytes, chunk = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), 8
if from ~= '-' then
	from = '(' .. from
end
while left > 0 and bytes > 0 do
	chunk = math.min(chunk, left)
	local entries = redis.call('XRANGE', log, from, '+', 'COUNT', chunk)
	for _, e in ipairs(entries) do
		local f = e[2]
		local n, p, r = #answer, '', ''
		if #f == 4 and f[1] == 'p' and f[3] == 'r' then
			p, r = f[2], f[4]
		end
		answer[n + 1], answer[n + 2], answer[n + 3] = e[1], p, r
		bytes = bytes - #r
	end
	if #entries < chunk then
		break
	end
	from = '(' .. entries[#entries][1]
	left = left - #entries
	chunk = math.min(2 * chunk, 128)
end
return answer
