-- Put parked messages back at the head of their queue, because no actor of it has a limit any more.
-- KEYS: ready, parked, lanes, notify
-- ARGV: how many at most
-- Returns how many.
local members = redis.call('ZRANGE', KEYS[2], 0, ARGV[1] - 1)
for i = #members, 1, -1 do
  redis.call('LPUSH', KEYS[1], string.match(members[i], '^[^\t]*\t[^\t]*\t(.*)$'))
  redis.call('ZREM', KEYS[2], members[i])
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('DEL', KEYS[3])
end
notify(KEYS[4], #members)
return #members
