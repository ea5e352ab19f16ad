-- Has a backend left alone, each time for longer; the next probe begins after that.
-- What it has asked for itself holds, whatever another worker has seen since.
-- ARGV: backend, the first pause, the longest, a factor for both, what it has asked for
-- Returns for how long it is left alone.
local key, now = circuit_prefix .. ARGV[1], now_ms()
local tries = redis.call('HINCRBY', key, 'tries', 1)
local pause = math.min(ARGV[2] * 2 ^ math.min(tries - 1, 16), tonumber(ARGV[3])) * ARGV[4]
local asked = tonumber(redis.call('HGET', key, 'asked') or 0) - now
asked = math.max(asked <= LONGEST_ALONE_MS and asked or 0, tonumber(ARGV[5]))
pause = math.max(math.floor(pause), asked)
redis.call('HSET', key, 'at', whole(now + pause), 'asked', whole(now + asked))
redis.call('PEXPIRE', key, pause + 60000)
return pause
