-- Lengthens the leases of jobs that are still in hand; a job that was written back in the
-- meantime is in hand no more. ARGV: lease, (job, lease number)…
local lease_end = whole(now_ms() + ARGV[1])
for n = 2, #ARGV, 2 do
  local job = redis.call('HMGET', job_key(ARGV[n]),
    'lease_number', 'lane', 'lease_until', 'finished')
  if job[1] == ARGV[n + 1] and job[3] ~= '0' and job[4] == '0' then
    give(ARGV[n], job[1], lease_end)
    set_due(job[2], {lease_end, ARGV[n]})
  end
end
