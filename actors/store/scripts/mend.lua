-- A backend answers again. ARGV: backend
return redis.call('DEL', circuit_prefix .. ARGV[1])
