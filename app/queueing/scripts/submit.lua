-- Puts a new message into its queue together with the record that people will ask for: both are there or neither.
-- KEYS: payloads, ready, delayed, bell, all queues, record, index of records,
-- key of the request (may be left out)
-- ARGV: queue, id, payload, most messages that may wait, value for the key of the request, seconds for which it is
-- kept, what the index calls the record, then fields and values of the record
-- Returns 'stored', 'full' with the number of those that wait, or 'known' with the value that the key has already.
if KEYS[8] then
  local known = redis.call('GET', KEYS[8])
  if known then
    return {'known', known}
  end
end
local waiting = redis.call('LLEN', KEYS[2]) + redis.call('ZCARD', KEYS[3])
if waiting >= tonumber(ARGV[4]) then
  return {'full', waiting}
end
redis.call('HSET', KEYS[6], unpack(ARGV, 8))
redis.call('ZADD', KEYS[7], 0, ARGV[7])
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('SADD', KEYS[5], ARGV[1])
redis.call('RPUSH', KEYS[2], ARGV[2])
if KEYS[8] then
  redis.call('SET', KEYS[8], ARGV[5], 'EX', ARGV[6])
end
if redis.call('LLEN', KEYS[4]) < 8 then
  redis.call('RPUSH', KEYS[4], 1)
end
return {'stored'}
