-- Shared by every script: the names of keys (store/keys.py says what each holds),
-- the clock of Redis, and how a beat is set.
local job_prefix, due_prefix, beat_prefix, lanes_key, active_prefix, owned_prefix,
  start_prefix, worker_key, feed, slots_prefix, waiting_prefix, calls_prefix,
  circuit_prefix = unpack(KEYS)
local GRACE_MS = 700 -- how late a beat may be before its chain counts as lost
local LONGEST_ALONE_MS = 60000 -- that a backend may ask to be left alone

local function job_key(id) return job_prefix .. id end
local function due_key(lane) return due_prefix .. lane end
local function beat_key(lane) return beat_prefix .. lane end
local function backend_of(lane) return string.match(lane, '^(.*):') end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function set_beat(lane, number, at, now)
  local span = math.max(at - now, 0) + GRACE_MS
  redis.call('HSET', beat_key(lane), 'number', number, 'at', at, 'span', span)
  redis.call('PEXPIRE', beat_key(lane), span)
end

-- True if the clock was put back since a beat was set: the beat has longer to live than
-- it was given.
local function is_held_up(lane)
  local left, span = redis.call('PTTL', beat_key(lane)), redis.call('HGET', beat_key(lane), 'span')
  return left > tonumber(span or left)
end

-- Makes all jobs of a lane due: by a clock that was put back they are far from it.
local function forget_times(lane, now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', due_key(lane), now, '+inf')) do
    redis.call('ZADD', due_key(lane), now, id)
  end
end

-- Starts a lane's chain, or brings its next beat forward to `want` if it is planned more
-- than `slack` later. Appends {lane, number, delay} to `beats`, to be sent.
-- Numbers are milliseconds, so those of a later chain are always higher.
local function hurry(beats, lane, want, slack, now)
  local planned = redis.call('HMGET', beat_key(lane), 'number', 'at')
  if planned[2] and tonumber(planned[2]) <= want + slack then return end
  local number = math.max(now, tonumber(planned[1] or 0) + 1)
  set_beat(lane, number, want, now)
  beats[#beats + 1] = {lane, number, math.max(want - now, 0)}
end

-- Redis writes a Lua number as a float, which takes as long as the command itself.
local function whole(number) return string.format('%d', number) end

-- Sets when jobs are due: {time, job, time, job…}, as strings.
local function set_due(lane, times)
  for n = 1, #times, 1000 do -- as much as `unpack` can surely take
    redis.call('ZADD', due_key(lane), unpack(times, n, math.min(n + 999, #times)))
  end
end

-- Gives a job to the caller until the lease ends; then the job is due again.
local function give(id, number, lease_end)
  redis.call('HSET', job_key(id), 'lease_number', number, 'lease_until', lease_end)
end

-- How a backend may be called: 0 freely, 1 not now, 2 once, by whoever asks for the probe.
-- If it is left alone for too long, the clock was put back.
local function circuit(backend, now)
  local at = redis.call('HGET', circuit_prefix .. backend, 'at')
  if not at then return 0 end
  local left = tonumber(at) - now
  return left > 0 and left <= LONGEST_ALONE_MS and 1 or 2
end
