-- Caches an answer and evicts the least recently used ones until the rest fits.
-- KEYS: answers, last use, bytes. ARGV: digest, answer, its bytes with the overhead, maximum bytes of all, seconds
-- until all expire, overhead of an entry in bytes
if tonumber(ARGV[3]) > tonumber(ARGV[4]) or redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return 0
end
local bytes = tonumber(redis.call('GET', KEYS[3]) or '0') + ARGV[3]
-- A lowered limit is reached step by step, because Redis serves no other client during a script.
for _ = 1, 100 do
  local oldest = bytes > tonumber(ARGV[4]) and redis.call('ZPOPMIN', KEYS[2])[1]
  if not oldest then
    break
  end
  bytes = bytes - redis.call('HSTRLEN', KEYS[1], oldest) - ARGV[6]
  redis.call('HDEL', KEYS[1], oldest)
end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
redis.call('SET', KEYS[3], bytes)
for _, key in ipairs(KEYS) do
  redis.call('EXPIRE', key, ARGV[5])
end
return 1
