-- Put a new message into its queue and store its job record: both or neither.
-- KEYS: payloads, ready, delayed, notify, all queues, record, index of records,
-- bytes of records (optional), idempotency key (optional)
-- ARGV: queue, id, payload, maximum of waiting messages, value for the idempotency key, seconds for which it is kept,
-- member of the record in the index, its member in the bytes of records or '', its bytes, maximum of all bytes (0: no
-- limit), then fields and values of the record
-- Returns 'stored', 'full' with the number of waiting messages, 'over' with the bytes of all records, or 'known' with
-- the value that the idempotency key already has.
local sizes = ARGV[8] ~= '' and KEYS[8]
local request = KEYS[sizes and 9 or 8]
if request then
  local known = redis.call('GET', request)
  if known then
    return {'known', known}
  end
end
local waiting = redis.call('LLEN', KEYS[2]) + redis.call('ZCARD', KEYS[3]) + redis.call('ZCARD', KEYS[2] .. '.parked')
if waiting >= tonumber(ARGV[4]) then
  return {'full', waiting}
end
if sizes then
  local stored = tonumber(redis.call('HGET', sizes, 'total') or 0)
  if ARGV[10] ~= '0' and stored + ARGV[9] > tonumber(ARGV[10]) then
    return {'over', stored}
  end
end
redis.call('HSET', KEYS[6], unpack(ARGV, 11))
if sizes then
  redis.call('HSET', sizes, ARGV[8], ARGV[9])
  redis.call('HINCRBY', sizes, 'total', ARGV[9])
end
redis.call('ZADD', KEYS[7], 0, ARGV[7])
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('SADD', KEYS[5], ARGV[1])
redis.call('RPUSH', KEYS[2], ARGV[2])
if request then
  redis.call('SET', request, ARGV[5], 'EX', ARGV[6])
end
notify(KEYS[4], 1)
return {'stored'}
