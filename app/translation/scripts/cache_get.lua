-- Returns the cached answer, or nil.
-- KEYS: answers, last use, bytes. ARGV: digest.
local answer = redis.call('HGET', KEYS[1], ARGV[1])
if answer then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
end
return answer
