-- Notes that these jobs are watched. The first watcher makes the next poll immediate, or
-- for a job that waits for its turn, the next look at its place.
-- ARGV: interval, how long this holds, owner ('' for any), jobs…
-- Returns {beats to send}, {jobs that are no more, or are not the owner's}.
local interval, hold_ms, owner = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local now = now_ms()
local lanes, beats, gone = {}, {}, {}

local function waits(id, lane)
  return redis.call('ZSCORE', waiting_prefix .. backend_of(lane), id)
end

local function hold(id, watched_until, lease_until, lane, started)
  local left = watched_until - now
  if left > hold_ms * 0.75 then return end -- another process has just noted it
  redis.call('HSET', job_key(id), 'watched_until', whole(now + hold_ms))
  local is_new = left <= 0 and lease_until <= now
  if is_new and (started == '1' or waits(id, lane)) then
    redis.call('ZADD', due_key(lane), 'LT', now, id)
    lanes[lane] = true
  end
end

for n = 4, #ARGV do
  local id = ARGV[n]
  local job = redis.call('HMGET', job_key(id),
    'finished', 'watched_until', 'lease_until', 'lane', 'started', 'owner')
  if not job[1] or (owner ~= '' and owner ~= job[6]) then
    gone[#gone + 1] = id
  elseif job[1] == '0' then
    hold(id, tonumber(job[2]), tonumber(job[3]), job[4], job[5])
  end
end
for lane in pairs(lanes) do hurry(beats, lane, now, interval, now) end
return {beats, gone}
