-- Recomputes the total bytes of all translations. KEYS: bytes
local total = 0
redis.call('HDEL', KEYS[1], 'total')
for _, bytes in ipairs(redis.call('HVALS', KEYS[1])) do
  total = total + bytes
end
redis.call('HSET', KEYS[1], 'total', total)
