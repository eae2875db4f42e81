-- Store a worker's heartbeat.
-- KEYS: heartbeats, states of workers
-- ARGV: worker, its state
local time = redis.call('TIME')
-- Removes first: when its memory is full, Redis lets no script begin by adding data, and a living worker must not
-- appear lost because of that.
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
