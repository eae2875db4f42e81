-- Add to the sums of one metric.
-- KEYS: the hash of the sums, the set of its combinations of labels
-- ARGV: how many combinations it may have, seconds for which it is kept (0: for ever), then for each sum: the values of its
-- labels, the values that are used instead when there are too many combinations, its part, the amount
local function admitted(series, other)
  if redis.call('SISMEMBER', KEYS[2], series) == 1 then
    return series
  end
  if series ~= other and redis.call('SCARD', KEYS[2]) >= tonumber(ARGV[1]) then
    return other
  end
  redis.call('SADD', KEYS[2], series)
  return series
end

for i = 3, #ARGV, 4 do
  local series = admitted(ARGV[i], ARGV[i + 1])
  redis.call('HINCRBYFLOAT', KEYS[1], series == '' and ARGV[i + 2] or series .. '\t' .. ARGV[i + 2], ARGV[i + 3])
end
if ARGV[2] ~= '0' then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
