-- Creates a job and puts it on its backend's work list, in the first lane with room.
-- Until the lease runs out it waits for its own start message; then the chain starts it.
-- ARGV: job, owner, backend, snapshot, contact, lane size, start lease, most active (0: any)
-- Returns 1, or 0 where the owner has too many active jobs.
local id, owner, backend = ARGV[1], ARGV[2], ARGV[3]
local lane_size, most = tonumber(ARGV[6]), tonumber(ARGV[8])
local active, owned = prefix .. 'active:' .. owner, prefix .. 'owner:' .. owner

if redis.call('EXISTS', job_key(id)) == 1 then return 1 end -- a repeated call
if most > 0 and redis.call('SCARD', active) >= most then return 0 end

local number, lane = 0, backend .. ':0'
while redis.call('ZCARD', due_key(lane)) >= lane_size do
  number = number + 1
  lane = backend .. ':' .. number
end

local now = now_ms()
redis.call('HSET', job_key(id), 'snapshot', ARGV[4], 'revision', 1, 'finished', 0,
  'owner', owner, 'backend', backend, 'lane', lane, 'contact', ARGV[5], 'started', 0,
  'take', 0, 'held_until', 0, 'watched_until', 0, 'told_at', now)
redis.call('ZADD', due_key(lane), now + ARGV[7], id)
redis.call('SADD', prefix .. 'lanes', lane)
redis.call('SADD', active, id)
redis.call('ZADD', owned, now, id)
redis.call('PERSIST', owned)
return 1
