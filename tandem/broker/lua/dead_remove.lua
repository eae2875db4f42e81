-- Remove dead letters, each only if it has not failed again since it was read.
-- KEYS: dead letters by time, their payloads, their kinds, counts of the kinds
-- ARGV: id and failure time alternately
-- Returns the ids of the removed ones.
local removed = {}
for i = 1, #ARGV, 2 do
  local id = ARGV[i]
  if tonumber(redis.call('ZSCORE', KEYS[1], id)) == tonumber(ARGV[i + 1]) then
    redis.call('ZREM', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
    local kind = redis.call('HGET', KEYS[3], id)
    if kind then
      redis.call('HDEL', KEYS[3], id)
      if redis.call('HINCRBY', KEYS[4], kind, -1) <= 0 then
        redis.call('HDEL', KEYS[4], kind)
      end
    end
    removed[#removed + 1] = id
  end
end
return removed
