-- Counts translations again, and removes those that do not exist any more from the count.
-- KEYS: bytes, then the record and the chunks of each
-- ARGV: the id of each
redis.call('HDEL', KEYS[1], '') -- with full memory, Redis refuses writes unless the script has deleted before
for i, id in ipairs(ARGV) do
  local exists = redis.call('EXISTS', KEYS[2 * i]) == 1
  set_size(KEYS[1], id, exists and size_of(KEYS[2 * i], KEYS[2 * i + 1]) or 0)
end
