-- Find waiting messages. Reads only.
-- KEYS: payloads
-- ARGV: actor or '', text in the id or '', the same text as it stands in JSON, or '' if it is looked for in ids alone, then ids
-- Returns the ids of those that match.
local found = {}

local function arguments(payload)
  local from = string.find(payload, '"args":', 1, true) or 1
  return string.sub(payload, from, (string.find(payload, ',"options":{', from, true) or 0) - 1)
end

local function actor_of(payload)
  -- The first two fields, as dramatiq encodes a message; decoding all of it takes much longer.
  local actor = string.match(payload, '^{"queue_name":"[^"]*","actor_name":"([^"]*)"')
  if not actor then
    local valid, message = pcall(cjson.decode, payload)
    actor = valid and type(message) == 'table' and message.actor_name
  end
  return actor
end

local ids = {}
for i = 4, #ARGV do
  ids[#ids + 1] = ARGV[i]
end
local payloads = #ids > 0 and redis.call('HMGET', KEYS[1], unpack(ids)) or {}
for i, id in ipairs(ids) do
  local payload = payloads[i]
  if payload then
    local matches = (ARGV[1] == '' or actor_of(payload) == ARGV[1])
      and (ARGV[2] == '' or string.find(id, ARGV[2], 1, true) or 
        (ARGV[3] ~= '' and string.find(payload, ARGV[3], 1, true) and string.find(arguments(payload), ARGV[3], 1, true)))
    if matches then
      found[#found + 1] = id
    end
  end
end
return found
