-- Put parked messages aside: delayed until they are purged, or due again because the purge was killed.
-- KEYS: parked, delayed messages by the time when they are due
-- ARGV: time in ms until which they are put aside, then members of the parked set (see lanes.lua)
-- Returns the ids of those that are still parked.
local ids = {}
for i = 2, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
    ids[#ids + 1] = string.match(ARGV[i], '^[^\t]*\t[^\t]*\t(.*)$')
    redis.call('ZADD', KEYS[2], ARGV[1], ids[#ids])
  end
end
return ids
