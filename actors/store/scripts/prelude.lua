-- What every script shares: the names of keys, Redis's clock, and how a beat is set.
--
-- job:<job>      hash: snapshot, revision, finished, owner, backend, lane, contact,
--                started, take (counts who had it), held_until (the lease),
--                watched_until, told_at
-- due:<lane>     sorted set: job -> when its next poll is due, or its lease runs out
-- beat:<lane>    hash: beat (the fencing token), at (when that beat is due), span (for
--                how long it is to live); expires
-- lanes          set of lanes with work
-- active:<owner> set of unfinished jobs
-- owner:<owner>  sorted set: job -> when it was created
-- feed           channel: lines of `<job> <revision> <finished> <snapshot>`
local prefix = KEYS[1]
local GRACE_MS = 700 -- how late a beat may be before its chain counts as lost

local function job_key(id) return prefix .. 'job:' .. id end
local function due_key(lane) return prefix .. 'due:' .. lane end
local function beat_key(lane) return prefix .. 'beat:' .. lane end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function set_beat(lane, beat, at, now)
  local span = math.max(at - now, 0) + GRACE_MS
  redis.call('HSET', beat_key(lane), 'beat', beat, 'at', at, 'span', span)
  redis.call('PEXPIRE', beat_key(lane), span)
end

-- Whether the clock was put back since a beat was set: it has longer to live than it was
-- given.
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

-- Starts a lane's chain, or brings its next beat forward to `want` where it is planned
-- more than `slack` later. Appends {lane, beat, delay} to `beats`, to be sent.
-- Beats count milliseconds, so that those of a later chain are always higher.
local function hurry(beats, lane, want, slack, now)
  local planned = redis.call('HMGET', beat_key(lane), 'beat', 'at')
  if planned[2] and tonumber(planned[2]) <= want + slack then return end
  local beat = math.max(now, tonumber(planned[1] or 0) + 1)
  set_beat(lane, beat, want, now)
  beats[#beats + 1] = {lane, beat, math.max(want - now, 0)}
end

-- Redis writes a Lua number as a float, which takes as long as the command itself.
local function whole(number) return string.format('%d', number) end

-- Sets when jobs are due: {time, job, time, job…}, as strings.
local function set_due(lane, times)
  for n = 1, #times, 1000 do -- as much as `unpack` can surely take
    redis.call('ZADD', due_key(lane), unpack(times, n, math.min(n + 999, #times)))
  end
end

-- Gives a job to the caller until its lease runs out; it is then due again.
local function take(id, number, lease_end)
  redis.call('HSET', job_key(id), 'take', number, 'held_until', lease_end)
end
