-- Notes a worker's sign of life.
-- KEYS: heartbeats, what workers do
-- ARGV: worker, what it does
local time = redis.call('TIME')
-- First takes away: with its memory full, Redis lets no script begin by adding, and a worker that lives must not look
-- lost because of that.
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
