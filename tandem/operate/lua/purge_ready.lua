-- Put the first ready messages aside: delayed until they are purged, or due again because the purge was killed.
-- KEYS: ready list, delayed messages by the time when they are due
-- ARGV: id of the last message to purge, how many at most, time in ms until which they are put aside
-- Returns their ids; none if the last one is no longer ready.
local last = redis.call('LPOS', KEYS[1], ARGV[1], 'RANK', -1)
if not last then
  return {}
end
local ids = redis.call('LPOP', KEYS[1], math.min(last + 1, tonumber(ARGV[2])))
for _, id in ipairs(ids) do
  redis.call('ZADD', KEYS[2], ARGV[3], id)
end
return ids
