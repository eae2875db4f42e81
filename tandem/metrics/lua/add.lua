-- Add to the sums of one metric.
-- KEYS: the hash of the sums
-- ARGV: how many fields it may have, seconds for which it is kept (0: for ever), then for each sum: its field, the field
-- that is used instead when there are too many, the amount
for i = 3, #ARGV, 3 do
  local field = ARGV[i]
  if redis.call('HEXISTS', KEYS[1], field) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[1]) then
    field = ARGV[i + 1]
  end
  redis.call('HINCRBYFLOAT', KEYS[1], field, ARGV[i + 2])
end
if ARGV[2] ~= '0' then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
