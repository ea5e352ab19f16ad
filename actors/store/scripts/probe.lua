-- Asks to be the one who tries a backend that is left alone.
-- ARGV: backend, how long a probe may take. Returns 1 if it may be called.
local key, now = circuit_prefix .. ARGV[1], now_ms()
local may = circuit(ARGV[1], now)
if may == 2 then redis.call('HSET', key, 'at', whole(now + ARGV[2])) end
return may == 1 and 0 or 1
