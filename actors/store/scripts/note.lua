-- Notes more of the backend's side of a job that is in hand.
-- ARGV: job, lease number, backend state. Returns 1, or 0 if the job has another lease.
local job = redis.call('HMGET', job_key(ARGV[1]), 'lease_number', 'finished')
if job[1] ~= ARGV[2] or job[2] ~= '0' then return 0 end
redis.call('HSET', job_key(ARGV[1]), 'backend_state', ARGV[3])
return 1
