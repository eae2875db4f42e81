-- Puts a new message into its queue, at once or for later, and wakes an idle worker.
-- KEYS: payloads, ready, delayed, bell, all queues
-- ARGV: queue, id, payload, delay in ms or -1
-- Returns 0 when there is a message with this id already, which then stays as it is.
if redis.call('HSETNX', KEYS[1], ARGV[2], ARGV[3]) == 0 then
  return 0
end
redis.call('SADD', KEYS[5], ARGV[1])
if ARGV[4] == '-1' then
  redis.call('RPUSH', KEYS[2], ARGV[2])
else
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[3], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[4], ARGV[2])
end
if redis.call('LLEN', KEYS[4]) < 8 then
  redis.call('RPUSH', KEYS[4], 1)
end
return 1
