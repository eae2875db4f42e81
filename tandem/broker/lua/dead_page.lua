-- Return a page of dead letters after a given one (which may have been removed), ordered by failure time and id. Reads
-- only. KEYS: dead letters by time, their kinds ARGV: 'up' for newer or 'down' for older ones, time and id of the one
-- before the page, how many at most Returns id, time and kind alternately, those nearest to the given one first.

local up = ARGV[1] == 'up'
local low = rank_of(KEYS[1], up, ARGV[2], ARGV[3])
local found
if up then
  found = redis.call('ZRANGE', KEYS[1], low, low + ARGV[4] - 1, 'WITHSCORES')
else
  local from_the_end = redis.call('ZCARD', KEYS[1]) - low
  found = redis.call('ZREVRANGE', KEYS[1], from_the_end, from_the_end + ARGV[4] - 1, 'WITHSCORES')
end
local ids, page = {}, {}
for i = 1, #found, 2 do
  ids[#ids + 1] = found[i]
end
if #ids == 0 then
  return {}
end
local kinds = redis.call('HMGET', KEYS[2], unpack(ids))
for i = 1, #ids do
  page[#page + 1] = ids[i]
  page[#page + 1] = found[2 * i]
  page[#page + 1] = kinds[i]
end
return page
