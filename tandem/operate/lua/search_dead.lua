-- Find dead letters, the newest first, after one of them (which may have been removed). Reads only.
-- KEYS: dead letters by time, their kinds, their payloads
-- ARGV: time and id of the one before, how many to look at, how many to find at most, actor or '', class of the error or
-- '', text in the id or '', the same text as it stands in JSON
-- Returns how many were looked at, time and id of the last of them, then id and time of those that match alternately.
local rank = rank_of(KEYS[1], false, ARGV[1], ARGV[2])
local from_the_end = redis.call('ZCARD', KEYS[1]) - rank
local found = redis.call('ZREVRANGE', KEYS[1], from_the_end, from_the_end + ARGV[3] - 1, 'WITHSCORES')
local answer, ids = {0, '', ''}, {}
for i = 1, #found, 2 do
  ids[#ids + 1] = found[i]
end
if #ids == 0 then
  return answer
end

local function arguments(payload)
  local from = string.find(payload, '"args":', 1, true) or 1
  return string.sub(payload, from, (string.find(payload, ',"options":{', from, true) or 0) - 1)
end

local kinds = (ARGV[5] ~= '' or ARGV[6] ~= '') and redis.call('HMGET', KEYS[2], unpack(ids))
local function is_of_kind(i)
  if not kinds then
    return true
  end
  local actor, error = string.match(kinds[i] or '', '^(.*)\t([^\t]*)$')
  return (ARGV[5] == '' or actor == ARGV[5]) and (ARGV[6] == '' or error == ARGV[6])
end

local function has_text(id)
  if ARGV[7] == '' or string.find(id, ARGV[7], 1, true) then
    return true
  end
  local payload = redis.call('HGET', KEYS[3], id)
  return payload and string.find(arguments(payload), ARGV[8], 1, true)
end

for i, id in ipairs(ids) do
  answer[1], answer[2], answer[3] = i, found[2 * i], id
  if is_of_kind(i) and has_text(id) then
    answer[#answer + 1] = id
    answer[#answer + 1] = found[2 * i]
    if (#answer - 3) / 2 >= tonumber(ARGV[4]) then
      break
    end
  end
end
return answer
