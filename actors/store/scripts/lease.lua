-- Takes one job out of turn. ARGV: job, 'start' or 'request', lease
-- A start is for the first caller; a request may take a job from the poll that has it, but
-- not from a start under way, which alone will learn the backend's name for the job, nor
-- from a poll that has read the request and passes it on.
-- Returns {lease number, snapshot, backend state, lane, now, circuit}, or nothing.
local job = redis.call('HMGET', job_key(ARGV[1]), 'lease_number', 'snapshot',
  'backend_state', 'lane', 'started', 'finished', 'lease_until',
  'asked_lease')
if not job[1] or job[6] == '1' then return false end
local now = now_ms()
local is_starting = job[5] == '0' and tonumber(job[7]) > now
if ARGV[2] == 'start' and job[1] ~= '0' then return false end
if ARGV[2] == 'request' then
  local has_read_it = tonumber(job[7]) > now and job[8] and job[8] ~= job[1]
  if is_starting or has_read_it then return false end
end
local lease_end = whole(now + ARGV[3])
give(ARGV[1], whole(job[1] + 1), lease_end)
set_due(job[4], {lease_end, ARGV[1]})
return {job[1] + 1, job[2], job[3], job[4], now, circuit(backend_of(job[4]), now)}
