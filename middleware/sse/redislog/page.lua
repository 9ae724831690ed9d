-- ARGV: ID to read behind or '-' for all, number of records, number of bytes, TTL in milliseconds or '' to leave it.
-- Answer: nothing if there is no stream; otherwise epoch, head, and of each entry its ID, p, n and r. The last entry
-- exceeds the limits, or is head.
local epoch, head = known()
if not epoch then
	return {}
end
if ARGV[4] ~= '' then
	touch(ARGV[4])
end

local answer = {epoch, head}
local from, records, bytes, chunk = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), 4
if from ~= '-' then
	from = '(' .. from
end
while true do
	local entries = redis.call('XRANGE', log, from, '+', 'COUNT', chunk)
	for _, e in ipairs(entries) do
		local f = e[2]
		local k, p, n, r = #answer, '', '', ''
		if #f == 6 and f[1] == 'p' and f[3] == 'n' and f[5] == 'r' then
			p, n, r = f[2], f[4], f[6]
		end
		answer[k + 1], answer[k + 2], answer[k + 3], answer[k + 4] = e[1], p, n, r
		records, bytes = records - (tonumber(n) or 1), bytes - #r
		if records <= 0 or bytes <= 0 then
			return answer
		end
	end
	if #entries < chunk then
		return answer
	end
	from = '(' .. entries[#entries][1]
	chunk = math.min(2 * chunk, 128)
end
