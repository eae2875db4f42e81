-- Put a new message into its queue unless one with the same key is there. The key is in the id: what is in the queue is
-- known by its payload, so no lock has to be given back, and none outlives a process that dies.
-- keys: payloads, ready, delayed, notify, all queues, heartbeats
-- arguments: queue, id, payload, delay in ms or -1, until 'start' or 'end', what happens otherwise: 'drop', 'replace' or 'error'
-- Returns 'sent', 'replaced' (the one that waits got this payload) or 'known', and the id in the queue.
local MOST = 8

local function has_started(keys, queue, id)
  for _, worker in ipairs(redis.call('ZRANGE', keys[6], 0, -1)) do
    if redis.call('ZSCORE', 'tandem:held:' .. worker .. ':' .. queue, id) then
      return true
    end
  end
  return false
end

local function enqueue_unique(keys, arguments)
  local queue, key, payload, delay, till, otherwise = unpack(arguments)
  local function id_of(number)
    return number == 0 and key or key .. '~' .. number
  end
  -- Only until its start can one run while another one waits.
  local last = till == 'start' and MOST - 1 or 0
  for number = 0, last do
    local id = id_of(number)
    if redis.call('HEXISTS', keys[1], id) == 1 and not (till == 'start' and has_started(keys, queue, id)) then
      if otherwise == 'replace' then
        redis.call('HSET', keys[1], id, payload)
        return {'replaced', id}
      end
      return {'known', id}
    end
  end
  for number = 0, last do
    local id = id_of(number)
    if enqueue(keys, {queue, id, payload, delay}) == 1 then
      return {'sent', id}
    end
  end
  return {'known', key}
end
