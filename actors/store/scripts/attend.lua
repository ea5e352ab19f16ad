-- Notes that these jobs are watched. The first watcher makes the next poll immediate, or
-- for a job that waits for its turn, the next look at its place.
-- ARGV: interval, how long this holds, jobs… Returns beats to send.
local interval, hold_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = now_ms()
local lanes, beats = {}, {}

local function waits(id, lane)
  return redis.call('ZSCORE', waiting_prefix .. backend_of(lane), id)
end

for n = 3, #ARGV do
  local id = ARGV[n]
  local job = redis.call('HMGET', job_key(id),
    'finished', 'watched_until', 'lease_until', 'lane', 'started')
  if job[1] == '0' then
    redis.call('HSET', job_key(id), 'watched_until', now + hold_ms)
    local is_new = tonumber(job[2]) <= now and tonumber(job[3]) <= now
    if is_new and (job[5] == '1' or waits(id, job[4])) then
      redis.call('ZADD', due_key(job[4]), 'LT', now, id)
      lanes[job[4]] = true
    end
  end
end
for lane in pairs(lanes) do hurry(beats, lane, now, interval, now) end
return beats
