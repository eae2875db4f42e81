-- Removes expired translations from the lists and the count.
-- KEYS: index, index of ended translations by the second in which they expire, bytes
-- ARGV: maximum number
-- Returns the number removed.
redis.call('HDEL', KEYS[3], '') -- with full memory, Redis refuses writes unless the script has deleted before
return expire(KEYS[1], KEYS[2], KEYS[3], tonumber(redis.call('TIME')[1]), ARGV[1])
