-- One beat of a lane's chain: checks the token, takes the jobs that are due, plans the
-- next beat. ARGV: lane, beat, interval, idle interval, lease
-- Returns {'stale'}, {'over'} where the lane is empty, or
-- {'next', beat, delay, this beat's time, {job, take, snapshot, contact, watched, told at}…}
local lane, beat = ARGV[1], tonumber(ARGV[2])
local interval, idle, lease_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local planned = redis.call('HMGET', beat_key(lane), 'beat', 'at')
if tonumber(planned[1] or -1) ~= beat then return {'stale'} end
if redis.call('ZCARD', due_key(lane)) == 0 then
  redis.call('DEL', beat_key(lane))
  redis.call('SREM', prefix .. 'lanes', lane)
  return {'over'}
end

-- The grid is kept: a late beat does not move those after it, missed ones are skipped.
local now = now_ms()
local at = tonumber(planned[2])
if now < at or now - at > 10 * interval then at = now end
at = at + math.floor((now - at) / interval) * interval

local later = redis.call('ZRANGEBYSCORE', due_key(lane), '(' .. now, '+inf',
  'WITHSCORES', 'LIMIT', 0, 1)
local earliest = math.min(tonumber(later[2] or at + idle), at + idle)

local jobs, anybody_watches = {}, false
local due = redis.call('ZRANGEBYSCORE', due_key(lane), '-inf', now)
for _, id in ipairs(due) do
  local job = redis.call('HMGET', job_key(id),
    'take', 'snapshot', 'contact', 'watched_until', 'told_at')
  if job[1] then
    local number, watched = job[1] + 1, tonumber(job[4]) > now
    take(id, lane, number, now, lease_ms)
    jobs[#jobs + 1] = {id, number, job[2], job[3], watched and 1 or 0, tonumber(job[5])}
    anybody_watches = anybody_watches or watched
  else
    redis.call('ZREM', due_key(lane), id)
  end
end

local next_at = at + interval
if not anybody_watches then next_at = math.max(next_at, earliest) end
next_at = math.max(next_at, now)
set_beat(lane, beat + 1, next_at, now)
return {'next', beat + 1, next_at - now, at, jobs}
