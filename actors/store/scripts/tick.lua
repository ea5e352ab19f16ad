-- One beat of a lane's chain: checks the token, takes the jobs that are due before the
-- next beat, plans it. ARGV: lane, beat, interval, idle interval, lease
-- Returns {'stale'}, {'over'} where the lane is empty, or
-- {'next', beat, delay, now, {job, take, snapshot, contact, watched, told at, when to
-- ask for it}…}, the soonest first.
local lane, beat = ARGV[1], tonumber(ARGV[2])
local interval, idle, lease_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local planned = redis.call('HMGET', beat_key(lane), 'beat', 'at')
if tonumber(planned[1] or -1) ~= beat then return {'stale'} end
if redis.call('ZCARD', due_key(lane)) == 0 then
  redis.call('DEL', beat_key(lane))
  redis.call('SREM', prefix .. 'lanes', lane)
  return {'over'}
end

-- The grids are kept, the lane's and each job's: what is late does not move what comes
-- after it, and what was missed is skipped. A job taken early is held until its moment,
-- so a step is well within the lease.
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
    'take', 'snapshot', 'contact', 'watched_until', 'told_at')
  if job[1] then
    local number, watched = job[1] + 1, tonumber(job[4]) > now
    take(id, whole(number), lease_end)
    held[#held + 1] = lease_end
    held[#held + 1] = id
    moment = moment + math.max(math.floor((now - moment) / interval), 0) * interval
    jobs[#jobs + 1] = {id, number, job[2], job[3], watched and 1 or 0,
      tonumber(job[5]), moment}
    anybody_watches = anybody_watches or watched
  else
    redis.call('ZREM', due_key(lane), id)
  end
end
set_due(lane, held)

local soonest = math.min(tonumber(later[2] or at + idle),
  at + (anybody_watches and interval or idle))
local next_at = math.max(soonest, at + step, now)
set_beat(lane, beat + 1, next_at, now)
return {'next', beat + 1, next_at - now, now, jobs}
