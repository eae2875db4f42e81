-- Send the message of one tick of a schedule, unless that was done: any number of containers can try, and there is no
-- leader. A tick that is skipped counts as done.
-- KEYS: state of the schedule, then those of enqueue: payloads, ready, delayed, notify, all queues
-- ARGV: tick, 1 if messages may overlap or 0, then those of enqueue: queue, id, payload, delay in ms or -1
-- Returns 'sent', 'done', 'paused' or 'overlap'.
local state = KEYS[1]
local known = redis.call('HMGET', state, 'tick', 'paused', 'queue_id')
if known[1] and tonumber(ARGV[1]) <= tonumber(known[1]) then
  return 'done'
end
if known[2] then
  redis.call('HSET', state, 'tick', ARGV[1])
  return 'paused'
end
if ARGV[2] == '0' and known[3] and redis.call('HEXISTS', KEYS[2], known[3]) == 1 then
  redis.call('HSET', state, 'tick', ARGV[1])
  redis.call('HINCRBY', state, 'overlaps', 1)
  return 'overlap'
end
enqueue({KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]}, {ARGV[3], ARGV[4], ARGV[5], ARGV[6]})
redis.call('HSET', state, 'tick', ARGV[1], 'sent', ARGV[1], 'queue_id', ARGV[4])
return 'sent'
