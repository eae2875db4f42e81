-- Functions that count the bytes of translations in a hash: id -> bytes, and the sum as `total`. This file precedes the
-- scripts that use them; RECORD_BYTES is the overhead of a record.
local function text_bytes(record)
  local bytes = 0
  for _, name in ipairs({'text', 'glossary', 'translation', 'problems', 'untranslated'}) do
    bytes = bytes + redis.call('HSTRLEN', record, name)
  end
  return bytes
end

local function size_of(record, chunks)
  local bytes = RECORD_BYTES + text_bytes(record)
  for _, part in ipairs(redis.call('HVALS', chunks)) do
    bytes = bytes + #part
  end
  return bytes
end

-- Sets the size of a translation; 0 bytes remove it.
local function set_size(sizes, id, bytes)
  local more = bytes - (redis.call('HGET', sizes, id) or 0)
  if bytes == 0 then
    redis.call('HDEL', sizes, id)
  elseif more ~= 0 then
    redis.call('HSET', sizes, id, bytes)
  end
  if more ~= 0 then
    redis.call('HINCRBY', sizes, 'total', more)
  end
end

-- Removes up to `limit` expired translations from the lists and the count, oldest first; returns how many.
local function expire(index, ended, sizes, now, limit)
  local members = redis.call('ZRANGEBYSCORE', ended, '-inf', now, 'LIMIT', 0, limit)
  for _, member in ipairs(members) do
    -- <created>:<id>, followed by :<owner> if it has one; each owner has a separate index.
    local id, owner = string.match(member, '^[^:]*:([^:]*):?(.*)$')
    redis.call('ZREM', owner ~= '' and index .. ':of:' .. owner or index, member)
    redis.call('ZREM', ended, member)
    set_size(sizes, id, 0)
  end
  return #members
end
