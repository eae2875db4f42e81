-- The place of a dead letter among all of a queue, ordered by failure time and id, also of one that was removed.
-- Prepended to the scripts that read dead letters page by page.

-- Many messages can fail in the same millisecond; then their ids determine the order, byte by byte, as Redis sorts
-- them: Lua's own < depends on the locale.
local function before(a, b)
  for i = 1, math.min(#a, #b) do
    if a:byte(i) ~= b:byte(i) then
      return a:byte(i) < b:byte(i)
    end
  end
  return #a < #b
end

-- Returns how many are older; with `up` also this one itself.
local function rank_of(key, up, time, id)
  local low = redis.call('ZCOUNT', key, '-inf', '(' .. time)
  local high = low + redis.call('ZCOUNT', key, time, time)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local other = redis.call('ZRANGE', key, middle, middle)[1]
    if before(other, id) or (up and other == id) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end
