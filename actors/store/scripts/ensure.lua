-- Starts the chain of every lane that has work and no beat, and notes that a worker is
-- here, which is also announced once in a second. ARGV: how long the note holds. Returns beats to send.
local now = now_ms()
local announced_at = redis.call('GET', worker_key) or '0'
if math.abs(now - announced_at) >= 900 then
  announced_at = whole(now)
  redis.call(PUBLISH, feed, '')
end
redis.call('SET', worker_key, announced_at, 'PX', ARGV[1])
local beats = {}
for _, lane in ipairs(redis.call('SMEMBERS', lanes_key)) do
  if is_held_up(lane) then
    forget_times(lane, now)
    redis.call('DEL', beat_key(lane))
  end
  if redis.call('EXISTS', beat_key(lane)) == 0 then
    local earliest = redis.call('ZRANGE', due_key(lane), 0, 0, 'WITHSCORES')
    if earliest[2] then
      hurry(beats, lane, math.max(now, tonumber(earliest[2])), 0, now)
    else
      redis.call('SREM', lanes_key, lane)
    end
  end
end
return beats
