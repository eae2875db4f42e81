-- Forgets dead letters, each only if it is still the death that was seen.
-- KEYS: dead letters by time, their payloads, their kinds, counts of the kinds
-- ARGV: id and time of death in turn
-- Returns how many.
local removed = 0
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
    removed = removed + 1
  end
end
return removed
