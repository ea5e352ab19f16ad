-- Creates a job and puts it on its backend's work list, in the first lane with room.
-- Until the lease ends the job waits for its own start message; then the chain starts it.
-- ARGV: job, owner, backend, snapshot, backend state, lane size, start lease, the most
-- active jobs (0: any), how many the owner has in other partitions, digest of the
-- Idempotency-Key ('' without), fingerprint of the start
-- Returns {'created' or 'existing', job}, {'full'} if the owner has too many active jobs,
-- {'reused'} if the key came with another start before.
local id, owner, backend = ARGV[1], ARGV[2], ARGV[3]
local lane_size, max_active, elsewhere = tonumber(ARGV[6]), tonumber(ARGV[8]), ARGV[9]
local active, owned = active_prefix .. owner, owned_prefix .. owner
local start_key = ARGV[10] ~= '' and start_prefix .. owner .. ':' .. ARGV[10]

if start_key then
  local before = redis.call('HMGET', start_key, 'fingerprint', 'job')
  if before[2] and redis.call('EXISTS', job_key(before[2])) == 1 then
    if before[1] ~= ARGV[11] then return {'reused'} end
    return {'existing', before[2]}
  end
end
if redis.call('EXISTS', job_key(id)) == 1 then return {'created', id} end -- a repeated call
if max_active > 0 and redis.call('SCARD', active) + elsewhere >= max_active then
  return {'full'}
end

local number, lane = 0, backend .. ':0'
while redis.call('ZCARD', due_key(lane)) >= lane_size do
  number = number + 1
  lane = backend .. ':' .. number
end

local now = now_ms()
redis.call('HSET', job_key(id), 'snapshot', ARGV[4], 'revision', 1, 'finished', 0,
  'owner', owner, 'backend', backend, 'lane', lane, 'backend_state', ARGV[5], 'started', 0,
  'lease_number', 0, 'lease_until', 0, 'watched_until', 0, 'told_at', now)
redis.call('ZADD', due_key(lane), now + ARGV[7], id)
redis.call('SADD', lanes_key, lane)
redis.call('SADD', active, id)
redis.call('ZADD', owned, now, id)
redis.call('PERSIST', owned)
if start_key then
  redis.call('HSET', start_key, 'fingerprint', ARGV[11], 'job', id)
  redis.call('HSET', job_key(id), 'start_key', start_key)
  redis.call('PERSIST', start_key) -- an earlier job, now gone, may have had it
end
return {'created', id}
