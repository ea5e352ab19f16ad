-- Starts the chain of every lane that has work and no beat. Returns beats to send.
local now = now_ms()
local lanes, beats = prefix .. 'lanes', {}
for _, lane in ipairs(redis.call('SMEMBERS', lanes)) do
  if is_held_up(lane) then
    forget_times(lane, now)
    redis.call('DEL', beat_key(lane))
  end
  if redis.call('EXISTS', beat_key(lane)) == 0 then
    local earliest = redis.call('ZRANGE', due_key(lane), 0, 0, 'WITHSCORES')
    if earliest[2] then
      hurry(beats, lane, math.max(now, tonumber(earliest[2])), 0, now)
    else
      redis.call('SREM', lanes, lane)
    end
  end
end
return beats
