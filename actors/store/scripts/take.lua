-- Takes calls out of what a backend may be sent in a minute: a bucket that holds a fifth
-- and is filled with the rest of it, so that no minute has more. A third of the bucket is
-- for those who are in a hurry.
-- ARGV: backend, calls a minute, how many are wanted, how many were made beyond what was
-- taken (less than none if some of those were not made), 1 if in a hurry
-- Returns {how many it may make, for how long the others have to wait}.
local key, a_minute, wanted = calls_prefix .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local size = math.max(math.floor(a_minute / 5), 1)
local a_ms = (a_minute - size) / 60000
local now = now_ms()
local before = redis.call('HMGET', key, 'left', 'at')
local passed = math.max(now - tonumber(before[2] or now), 0)
local left = math.min(tonumber(before[1] or size) + passed * a_ms, size) - ARGV[4]
left = math.min(left, size)
local kept = ARGV[5] == '1' and 0 or math.floor(size / 3)
local granted = math.max(math.min(math.floor(left - kept), wanted), 0)
left = left - granted
redis.call('HSET', key, 'left', string.format('%.6f', left), 'at', whole(now))
redis.call('PEXPIRE', key, math.ceil((size - left) / a_ms) + 1000)
local wait = granted < wanted and math.ceil((kept + 1 - left) / a_ms) or 0
return {granted, wait}
