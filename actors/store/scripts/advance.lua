-- Writes jobs back and announces the news of those that are watched or have ended, in one
-- step.
-- ARGV: interval, seconds to keep an ended job, and as MessagePack a list of changes:
-- {job, lease number ('' if the lease does not matter), revision it was read at, revision
-- now, finished, started, snapshot, backend state ('' to leave it), when it is due next
-- while watched, and while not ('' to leave it)}, all as strings
-- Returns {outcome of each: 1 written, 0 the job has moved on, -1 it has ended, is gone, or
-- has another lease}, {beats to send}.
local interval, ttl_s = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = now_ms()
local now_text = whole(now)
local outcomes, lines, dues, wanted, beats, freed = {}, {}, {}, {}, {}, {}

local function forget_oldest(owned)
  for _, id in ipairs(redis.call('ZRANGE', owned, 0, 1)) do
    if redis.call('EXISTS', job_key(id)) == 0 then redis.call('ZREM', owned, id) end
  end
end

local function retire(id, lane, owner)
  local active, owned = active_prefix .. owner, owned_prefix .. owner
  redis.call('ZREM', due_key(lane), id)
  redis.call('SREM', active, id)
  redis.call('EXPIRE', job_key(id), ttl_s)
  local start_key = redis.call('HGET', job_key(id), 'start_key')
  if start_key then redis.call('EXPIRE', start_key, ttl_s) end
  forget_oldest(owned)
  if redis.call('EXISTS', active) == 0 then redis.call('EXPIRE', owned, ttl_s) end
end

local function schedule(id, lane, due)
  local times = dues[lane]
  if not times then
    times = {}
    dues[lane] = times
  end
  times[#times + 1] = due
  times[#times + 1] = id
  due = tonumber(due)
  wanted[lane] = math.min(wanted[lane] or due, due)
end

-- A job that leaves the queue may have been woken for a place that is free.
local function leave(id, backend)
  local left = redis.call('ZREM', waiting_prefix .. backend, id)
    + redis.call('SREM', slots_prefix .. backend, id)
  if left > 0 then freed[backend] = (freed[backend] or 0) + left end
end

-- The jobs that have waited longest take the places of those that have ended. Some may
-- have lost their keys.
local function wake_next(backend, places)
  local waiting = redis.call('ZRANGE', waiting_prefix .. backend, 0, places + 7)
  for _, id in ipairs(waiting) do
    local job = redis.call('HMGET', job_key(id), 'lane', 'lease_until')
    if job[1] then
      if tonumber(job[2]) <= now then schedule(id, job[1], now_text) end
      places = places - 1
      if places == 0 then return end
    end
  end
end

for _, change in ipairs(cmsgpack.unpack(ARGV[3])) do
  local id, lease_number, read_at, revision, finished, started, snapshot, backend_state,
    due_watched, due_idle = unpack(change)
  local job = redis.call('HMGET', job_key(id),
    'lease_number', 'revision', 'finished', 'lane', 'owner', 'watched_until')
  if not job[1] or job[3] == '1' or (lease_number ~= '' and lease_number ~= job[1]) then
    outcomes[#outcomes + 1] = -1
  elseif job[2] ~= read_at then
    outcomes[#outcomes + 1] = 0
  else
    local fields = {'snapshot', snapshot, 'revision', revision,
      'finished', finished}
    if lease_number ~= '' then
      fields[#fields + 1] = 'lease_until'
      fields[#fields + 1] = '0'
    else -- a request, which whoever holds the job now has not read
      fields[#fields + 1] = 'asked_lease'
      fields[#fields + 1] = job[1]
    end
    if backend_state ~= '' then
      for _, field in ipairs({'backend_state', backend_state, 'started', started}) do
        fields[#fields + 1] = field
      end
    end
    local is_watched = tonumber(job[6]) > now
    if revision ~= read_at and (is_watched or finished == '1') then
      fields[#fields + 1] = 'told_at'
      fields[#fields + 1] = now_text
      lines[#lines + 1] = id .. ' ' .. revision .. ' ' .. finished .. ' ' .. snapshot
    end
    redis.call('HSET', job_key(id), unpack(fields))
    if finished == '1' then
      retire(id, job[4], job[5])
      leave(id, backend_of(job[4]))
    elseif due_watched ~= '' then
      schedule(id, job[4], is_watched and due_watched or due_idle)
    end
    outcomes[#outcomes + 1] = 1
  end
end

for backend, places in pairs(freed) do wake_next(backend, places) end
if #lines > 0 then redis.call(PUBLISH, feed, table.concat(lines, '\n')) end
for lane, times in pairs(dues) do set_due(lane, times) end
for lane, due in pairs(wanted) do
  hurry(beats, lane, math.max(due, now), interval, now)
end
return {outcomes, beats}
