-- Counts the unfinished jobs of a lane by status, which stands at the front of a snapshot.
-- ARGV: lane. Returns {status, count, …}.
local counts, answer = {}, {}
for _, id in ipairs(redis.call('ZRANGE', due_key(ARGV[1]), 0, -1)) do
  local snapshot = redis.call('HGET', job_key(id), 'snapshot')
  local status = snapshot and string.match(snapshot, '"status":"(%a+)"')
  if status then counts[status] = (counts[status] or 0) + 1 end
end
for status, count in pairs(counts) do
  answer[#answer + 1] = status
  answer[#answer + 1] = count
end
return answer
