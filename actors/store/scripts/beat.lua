-- One beat of a lane's chain: checks the fencing token, takes the jobs that are due
-- before the next beat, plans that beat.
-- ARGV: lane, number, interval, idle interval, lease
-- Returns {'stale'}, {'over'} if the lane is empty, or
-- {'next', number, delay, now, {job, lease number, snapshot, backend state, when it was
-- due, watched, told at}…, circuit}, the soonest first.
local lane, number = ARGV[1], tonumber(ARGV[2])
local interval, idle, lease_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local planned = redis.call('HMGET', beat_key(lane), 'number', 'at')
if tonumber(planned[1] or -1) ~= number then return {'stale'} end
if redis.call('ZCARD', due_key(lane)) == 0 then
  redis.call('DEL', beat_key(lane))
  redis.call('SREM', lanes_key, lane)
  return {'over'}
end

-- Beats and polls stay on fixed time grids: a late beat does not shift the next ones, and
-- a missed one is skipped. A job that is taken early waits for its moment, so a step must
-- be much shorter than the lease.
local now = now_ms()
local step = math.min(interval, lease_ms / 2)
local at = tonumber(planned[2])
if is_held_up(lane) then forget_times(lane, now) end
if now < at or now - at > 10 * step then at = now end
at = at + math.floor((now - at) / step) * step

local later = redis.call('ZRANGEBYSCORE', due_key(lane), at + step, '+inf',
  'WITHSCORES', 'LIMIT', 0, 1)
local jobs, held, anybody_watches = {}, {}, false
local lease_end = whole(now + lease_ms)
local due = redis.call('ZRANGEBYSCORE', due_key(lane), '-inf', '(' .. at + step,
  'WITHSCORES')
for n = 1, #due, 2 do
  local id, moment = due[n], tonumber(due[n + 1])
  local job = redis.call('HMGET', job_key(id),
    'lease_number', 'snapshot', 'backend_state', 'watched_until', 'told_at')
  if job[1] then
    local lease_number, watched = job[1] + 1, tonumber(job[4]) > now
    give(id, whole(lease_number), lease_end)
    held[#held + 1] = lease_end
    held[#held + 1] = id
    jobs[#jobs + 1] = {id, lease_number, job[2], job[3], moment,
      watched and 1 or 0, tonumber(job[5])}
    anybody_watches = anybody_watches or watched
  else
    redis.call('ZREM', due_key(lane), id)
  end
end
set_due(lane, held)

local soonest = math.min(tonumber(later[2] or at + idle),
  at + (anybody_watches and interval or idle))
local next_at = math.max(soonest, at + step, now)
set_beat(lane, number + 1, next_at, now)
return {'next', number + 1, next_at - now, now, jobs, circuit(backend_of(lane), now)}
