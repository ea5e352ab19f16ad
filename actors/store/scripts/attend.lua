-- Notes that these jobs are watched. The first watcher makes the next poll immediate.
-- ARGV: interval, how long this holds, jobs… Returns beats to send.
local interval, hold_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = now_ms()
local lanes, beats = {}, {}
for n = 3, #ARGV do
  local id = ARGV[n]
  local job = redis.call('HMGET', job_key(id),
    'finished', 'watched_until', 'lease_until', 'lane', 'started')
  if job[1] == '0' then
    redis.call('HSET', job_key(id), 'watched_until', now + hold_ms)
    local idle = tonumber(job[3]) <= now and job[5] == '1'
    if tonumber(job[2]) <= now and idle then
      redis.call('ZADD', due_key(job[4]), 'LT', now, id)
      lanes[job[4]] = true
    end
  end
end
for lane in pairs(lanes) do hurry(beats, lane, now, interval, now) end
return beats
