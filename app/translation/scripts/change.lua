-- Changes a translation, publishes the new version, and updates the lists of translations.
-- KEYS: record, chunks, index, index of ended translations by the second in which they expire, bytes, then those of
-- enqueue
-- ARGV: required state ('open', 'running' or 'failed'), required run or '' for any, seconds until the translation
-- expires if this change ends it (0: it does not), '1' to delete its text, number of a finished chunk or '', the chunk,
-- the four arguments of enqueue for the callback message, if it has a callback_url, then fields and values
-- Returns the number of the new version, 0 if nothing was changed.
local record = redis.call('HMGET', KEYS[1], 'status', 'run', 'member', 'callback_url')
local status, member = record[1], record[3]
local open = status == 'queued' or status == 'running'
if not (status and (status == ARGV[1] or (open and ARGV[1] == 'open'))) then
  return 0
end
if ARGV[2] ~= '' and record[2] ~= ARGV[2] then
  return 0
end
local drop = ARGV[4] == '1'
if status == 'failed' and not drop and redis.call('HEXISTS', KEYS[1], 'text') == 0 then
  return 0 -- it cannot be retried: its text was deleted
end
-- When its memory is full, Redis refuses writes of a script unless it has deleted something before. Accepted
-- translations must continue, so this begins by deleting nothing.
redis.call('HDEL', KEYS[1], '')
local id = string.match(KEYS[1], '[^:]*$')
local before = text_bytes(KEYS[1]) + redis.call('HSTRLEN', KEYS[2], ARGV[5])
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[5], ARGV[6])
  redis.call('HSET', KEYS[1], 'done', redis.call('HLEN', KEYS[2]))
end
if #ARGV > 10 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 11))
end
if drop then
  -- Otherwise the text would occupy memory until the record expires.
  redis.call('HDEL', KEYS[1], 'text', 'glossary')
  redis.call('DEL', KEYS[2])
end
local now = tonumber(redis.call('TIME')[1])
if ARGV[3] ~= '0' then
  local ended = redis.call('HGET', KEYS[1], 'status')
  local failed = ended == 'failed'
  redis.call('EXPIRE', KEYS[1], ARGV[3])
  -- A retry of a failed translation resumes after its finished chunks.
  if failed then
    redis.call('EXPIRE', KEYS[2], ARGV[3])
  else
    redis.call('DEL', KEYS[2])
  end
  if member then -- a record of version 0.1 has none
    redis.call('ZADD', KEYS[4], now + ARGV[3], member)
  end
  if record[4] and KEYS[6] then
    enqueue({unpack(KEYS, 6)}, {unpack(ARGV, 7, 10)})
  end
elseif status == 'failed' and not drop then
  redis.call('PERSIST', KEYS[1])
  redis.call('PERSIST', KEYS[2])
  redis.call('ZREM', KEYS[4], member or '')
end
if drop or ARGV[3] ~= '0' or redis.call('HEXISTS', KEYS[5], id) == 0 then
  set_size(KEYS[5], id, size_of(KEYS[1], KEYS[2]))
else
  -- Count only the difference: a long text has thousands of chunks.
  local more = text_bytes(KEYS[1]) + redis.call('HSTRLEN', KEYS[2], ARGV[5]) - before
  set_size(KEYS[5], id, redis.call('HGET', KEYS[5], id) + more)
end
expire(KEYS[3], KEYS[4], KEYS[5], now, 10)
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('PUBLISH', KEYS[1] .. ':changes', version)
return version
