-- Put a new message into its queue unless one with the same key is there. The key is in the id: what is in the queue is
-- known by its payload, so no lock has to be given back, and none outlives a process that dies.
-- KEYS: payloads, ready, delayed, notify, all queues, heartbeats
-- ARGV: queue, id, payload, delay in ms or -1, until 'start' or 'end', what happens otherwise: 'drop', 'replace' or 'error'
-- Returns 'sent', 'replaced' (the one that waits got this payload) or 'known', and the id in the queue.
local MOST = 8

local function id_of(number)
  return number == 0 and ARGV[2] or ARGV[2] .. '~' .. number
end

local function has_started(id)
  for _, worker in ipairs(redis.call('ZRANGE', KEYS[6], 0, -1)) do
    if redis.call('ZSCORE', 'tandem:held:' .. worker .. ':' .. ARGV[1], id) then
      return true
    end
  end
  return false
end

-- Only until its start can one run while another one waits.
local last = ARGV[5] == 'start' and MOST - 1 or 0
for number = 0, last do
  local id = id_of(number)
  if redis.call('HEXISTS', KEYS[1], id) == 1 and not (ARGV[5] == 'start' and has_started(id)) then
    if ARGV[6] == 'replace' then
      redis.call('HSET', KEYS[1], id, ARGV[3])
      return {'replaced', id}
    end
    return {'known', id}
  end
end
for number = 0, last do
  local id = id_of(number)
  if enqueue(KEYS, {ARGV[1], id, ARGV[3], ARGV[4]}) == 1 then
    return {'sent', id}
  end
end
return {'known', ARGV[2]}
