-- Has a backend left alone, each time for longer; the next probe begins after that.
-- ARGV: backend, the first pause, the longest, a factor for both, the shortest
local key = circuit_prefix .. ARGV[1]
local tries = redis.call('HINCRBY', key, 'tries', 1)
local pause = math.min(ARGV[2] * 2 ^ math.min(tries - 1, 16), tonumber(ARGV[3])) * ARGV[4]
pause = math.max(math.floor(pause), tonumber(ARGV[5]))
redis.call('HSET', key, 'at', whole(now_ms() + pause))
redis.call('PEXPIRE', key, pause + 60000)
return pause
