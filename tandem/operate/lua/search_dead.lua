-- Find dead letters, the newest first, after one of them (which may have been removed). Reads only.
-- KEYS: dead letters by time, their kinds, their payloads
-- ARGV: time and id of the one before, how many to look at, how many to find at most, actor or '', class of the error or
-- '', text in the id or '', the same text as it stands in JSON, or '' if it is looked for in ids alone
-- Returns how many were looked at, time and id of the last of them, then id and time of those that match alternately.
local from_the_end = redis.call('ZCARD', KEYS[1]) - rank_of(KEYS[1], false, ARGV[1], ARGV[2])
-- Without their times, which cost as much as all the rest: most of them are not needed.
local ids = redis.call('ZREVRANGE', KEYS[1], from_the_end, from_the_end + ARGV[3] - 1)
local answer = {0, '', ''}
if #ids == 0 then
  return answer
end

local function arguments(payload)
  local from = string.find(payload, '"args":', 1, true) or 1
  return string.sub(payload, from, (string.find(payload, ',"options":{', from, true) or 0) - 1)
end

-- Keeps what is of the wanted kind.
local function of_kind(all)
  if ARGV[5] == '' and ARGV[6] == '' then
    return all
  end
  local chosen, kinds = {}, redis.call('HMGET', KEYS[2], unpack(all))
  for i, id in ipairs(all) do
    local actor, error = string.match(kinds[i] or '?\t?', '^(.*)\t([^\t]*)$')
    if (ARGV[5] == '' or actor == ARGV[5]) and (ARGV[6] == '' or error == ARGV[6]) then
      chosen[#chosen + 1] = id
    end
  end
  return chosen
end

-- So many payloads stay in the processor's cache.
local FEW = 32

-- Keeps what has the text. Most payloads do not have it anywhere, which is known without looking for the arguments.
local function with_text(all)
  if ARGV[7] == '' or #all == 0 then
    return all
  end
  local chosen = {}
  if ARGV[8] == '' then
    for _, id in ipairs(all) do
      if string.find(id, ARGV[7], 1, true) then
        chosen[#chosen + 1] = id
      end
    end
    return chosen
  end
  for from = 1, #all, FEW do
    local payloads = redis.call('HMGET', KEYS[3], unpack(all, from, math.min(from + FEW - 1, #all)))
    for i, payload in ipairs(payloads) do
      local id = all[from + i - 1]
      local is_there = payload and string.find(payload, ARGV[8], 1, true) and string.find(arguments(payload), ARGV[8], 1, true)
      if is_there or string.find(id, ARGV[7], 1, true) then
        chosen[#chosen + 1] = id
      end
    end
  end
  return chosen
end

local last = ids[#ids]
answer[1] = #ids
for _, id in ipairs(with_text(of_kind(ids))) do
  answer[#answer + 1] = id
  answer[#answer + 1] = redis.call('ZSCORE', KEYS[1], id)
  if (#answer - 3) / 2 >= tonumber(ARGV[4]) then
    last = id
    break
  end
end
answer[2], answer[3] = redis.call('ZSCORE', KEYS[1], last), last
return answer
