-- Gives a job one of its backend's places, or has it wait until those before it have one.
-- ARGV: job, backend, when it was created, how many places there are
-- Returns 0 if it has a place, its number among those that wait, or -1 if it is over.
local id, slots, waiting = ARGV[1], slots_prefix .. ARGV[2], waiting_prefix .. ARGV[2]

local function is_over(job) return redis.call('HGET', job_key(job), 'finished') ~= '0' end

-- A job whose key was deleted has not left by itself.
local function forget_lost()
  for _, job in ipairs(redis.call('SRANDMEMBER', slots, 8)) do
    if is_over(job) then redis.call('SREM', slots, job) end
  end
  for _, job in ipairs(redis.call('ZRANGE', waiting, 0, 7)) do
    if is_over(job) then redis.call('ZREM', waiting, job) end
  end
end

if is_over(id) then return -1 end
if redis.call('SISMEMBER', slots, id) == 1 then return 0 end
redis.call('ZADD', waiting, 'NX', ARGV[3], id)
forget_lost()
local free = math.max(ARGV[4] - redis.call('SCARD', slots), 0)
local ahead = redis.call('ZRANK', waiting, id)
if ahead >= free then return ahead - free + 1 end
redis.call('ZREM', waiting, id)
redis.call('SADD', slots, id)
return 0
