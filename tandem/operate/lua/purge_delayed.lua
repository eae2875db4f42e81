-- Put delayed messages aside: none of them is due before the given time.
-- KEYS: delayed messages by the time when they are due
-- ARGV: time in ms, then message ids
-- Returns the ids of those that are still delayed.
local ids = {}
for i = 2, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('ZADD', KEYS[1], 'GT', ARGV[1], ARGV[i])
    ids[#ids + 1] = ARGV[i]
  end
end
return ids
