-- Lengthens the leases of jobs that are still in hand; one that was written back in the
-- meantime is not any more. ARGV: lease, (job, take)…
local lease_end = whole(now_ms() + ARGV[1])
for n = 2, #ARGV, 2 do
  local job = redis.call('HMGET', job_key(ARGV[n]), 'take', 'lane', 'held_until', 'finished')
  if job[1] == ARGV[n + 1] and job[3] ~= '0' and job[4] == '0' then
    take(ARGV[n], job[1], lease_end)
    set_due(job[2], {lease_end, ARGV[n]})
  end
end
