-- Claim one message for this worker, whether ready or delayed.
-- KEYS: heartbeats, payloads, ready, delayed, notify, claimed, deliveries
-- ARGV: worker, id
-- Returns the delivery count and the payload, or nothing if it is neither ready nor delayed.
if redis.call('ZREM', KEYS[4], ARGV[2]) + redis.call('LREM', KEYS[3], 1, ARGV[2]) == 0 then
  return {}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
local newest = redis.call('ZRANGE', KEYS[6], -1, -1, 'WITHSCORES')[2]
redis.call('ZADD', KEYS[6], math.max(now * 1000, tonumber(newest or 0)) + 1, ARGV[2])
return {redis.call('HINCRBY', KEYS[7], ARGV[2], 1), redis.call('HGET', KEYS[2], ARGV[2])}
