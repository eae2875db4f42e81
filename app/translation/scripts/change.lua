-- Changes a translation, tells those who watch it, and keeps the list of all translations in order.
-- KEYS: record, chunks, index, index of the ended ones by the second in which they are forgotten, then those of enqueue
-- ARGV: state in which it has to be ('open', 'running' or 'failed'), run that it is for or nothing for any, seconds
-- for which it is kept when it ends with this (0: it does not), number of a finished chunk or nothing, the chunk,
-- the four arguments of enqueue for the message that calls its receiver, if it has one, then fields and values
-- Returns the number of the new version, 0 when nothing was changed.
local record = redis.call('HMGET', KEYS[1], 'status', 'run', 'member', 'callback_url')
local status, member = record[1], record[3]
local open = status == 'queued' or status == 'running'
if not (status and (status == ARGV[1] or (open and ARGV[1] == 'open'))) then
  return 0
end
if ARGV[2] ~= '' and record[2] ~= ARGV[2] then
  return 0
end
-- With its memory full, Redis lets a script add only what has taken something away before. What was accepted goes on
-- then, so this begins with taking away nothing.
redis.call('HDEL', KEYS[1], '')
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[4], ARGV[5])
  redis.call('HSET', KEYS[1], 'done', redis.call('HLEN', KEYS[2]))
end
if #ARGV > 9 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 10))
end
local now = tonumber(redis.call('TIME')[1])
if ARGV[3] ~= '0' then
  local failed = redis.call('HGET', KEYS[1], 'status') == 'failed'
  redis.call('EXPIRE', KEYS[1], ARGV[3])
  -- A failure that people want to be tried again goes on behind the chunks that were done.
  redis.call('EXPIRE', KEYS[2], failed and ARGV[3] or 0)
  if member then -- a record of version 0.1 has none
    redis.call('ZADD', KEYS[4], now + ARGV[3], member)
  end
  if record[4] and KEYS[5] then
    enqueue({unpack(KEYS, 5)}, {unpack(ARGV, 6, 9)})
  end
elseif status == 'failed' then
  redis.call('PERSIST', KEYS[1])
  redis.call('PERSIST', KEYS[2])
  redis.call('ZREM', KEYS[4], member or '')
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, 10)) do
  redis.call('ZREM', KEYS[3], member)
  redis.call('ZREM', KEYS[4], member)
end
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('PUBLISH', KEYS[1] .. ':changes', version)
return version
