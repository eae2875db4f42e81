-- The limits of actors: how many of an actor's messages, or of those with one key, may run at the same time, and their
-- rate. A message beyond its limit is parked, so that it holds up nobody: it leaves the ready list until a slot is free
-- or the rate allows it. Prepended to claim_batch.lua, after rate.lua.
-- A lane is an actor, a colon, and the key if there is one. Each queue has three sorted sets:
-- .parked: members lane, tab, place in the lane, tab, id
-- .lanes: lanes with parked messages, by the time (ms) when they are looked at again
-- .slots: members lane, tab, id, tab, key of the claimed set that has the id. A slot whose id is no longer there is free:
-- so none is lost when a worker dies.

-- A full lane is looked at again after this time (ms) even if nobody has freed a slot.
local FULL = 2000
local UNLIMITED = {most = 0, count = 0}

local function range(lane)
  return '[' .. lane .. '\t', '[' .. lane .. '\t\255'
end

local function lane_of(payload, limits)
  -- The first two fields, as dramatiq encodes a message; decoding all of it takes much longer.
  local actor, key = string.match(payload, '^{"queue_name":"[^"]*","actor_name":"([^"]*)"'), ''
  if not actor or (limits[actor] and limits[actor].keyed) then
    local valid, message = pcall(cjson.decode, payload)
    if valid and type(message) == 'table' then
      actor = message.actor_name
      key = type(message.options) == 'table' and message.options.limit_key or ''
    end
  end
  if type(actor) ~= 'string' or not limits[actor] then
    return nil
  end
  -- Tandem sends no other characters (see limits.py), but anybody can send a message.
  return actor .. ':' .. (type(key) == 'string' and string.gsub(string.sub(key, 1, 64), '[^%w._@-]', '_') or '')
end

local function limit_of(lane, limits)
  return limits[string.match(lane, '^(.*):')] or UNLIMITED
end

-- Returns how many messages of a lane may be claimed now, and if none, the ms until it is looked at again.
local function room_in(queue, lane, limit, now)
  local room, wait = math.huge, 0
  if limit.most > 0 then
    local slots, first, last = 'dramatiq:' .. queue .. '.slots', range(lane)
    room = limit.most - redis.call('ZLEXCOUNT', slots, first, last)
    if room <= 0 then
      for _, slot in ipairs(redis.call('ZRANGEBYLEX', slots, first, last)) do
        local id, claimed = string.match(string.sub(slot, #lane + 2), '^(.*)\t([^\t]*)$')
        if not redis.call('ZSCORE', claimed, id) then
          redis.call('ZREM', slots, slot)
          room = room + 1
        end
      end
    end
    wait = room <= 0 and FULL or 0
  end
  if limit.count > 0 and room > 0 then
    local most, pause = allowed(queue .. ':' .. lane, limit.count, limit.window, now)
    if most < room then
      room, wait = most, most <= 0 and pause or 0
    end
  end
  return room, wait
end

-- Claims a message at once, before all others of this call, so that its slot is not taken for a free one.
local function take(queue, lane, limit, id, claimed, now)
  if limit.most > 0 then
    redis.call('ZADD', claimed, 0, id)
    redis.call('ZADD', 'dramatiq:' .. queue .. '.slots', 0, lane .. '\t' .. id .. '\t' .. claimed)
  end
  if limit.count > 0 then
    use(queue .. ':' .. lane, limit.count, limit.window, now, 1)
  end
end

-- Return the members whose lane is still that of their payload. Others, whose arguments were replaced (see
-- enqueue_unique.lua), go back to the head of the ready list, which sorts them anew.
local function unchanged(members, lane, limits, keys)
  local ids, kept = {}, {}
  for i, member in ipairs(members) do
    ids[i] = string.match(string.sub(member, #lane + 2), '^[^\t]*\t(.*)$')
  end
  local payloads = #ids > 0 and redis.call('HMGET', keys.payloads, unpack(ids)) or {}
  for i, id in ipairs(ids) do
    if payloads[i] and limit_of(lane, limits) ~= UNLIMITED and lane_of(payloads[i], limits) ~= lane then
      redis.call('LPUSH', keys.ready, id)
    else
      kept[#kept + 1] = id
    end
  end
  return kept
end

-- Take at most `free` parked messages out of the lanes that may go on, the lane that waits longest first.
local function take_parked(queue, limits, keys, now, free)
  local lanes, parked, ids, lane_by_id = 'dramatiq:' .. queue .. '.lanes', 'dramatiq:' .. queue .. '.parked', {}, {}
  for _, lane in ipairs(redis.call('ZRANGEBYSCORE', lanes, '-inf', now, 'LIMIT', 0, free)) do
    if #ids == free then
      break -- the others keep their turn
    end
    local limit, first, last = limit_of(lane, limits), range(lane)
    local room = math.min(room_in(queue, lane, limit, now), free - #ids)
    local members = room > 0 and redis.call('ZRANGEBYLEX', parked, first, last, 'LIMIT', 0, room) or {}
    if #members > 0 then
      redis.call('ZREM', parked, unpack(members))
    end
    for _, id in ipairs(unchanged(members, lane, limits, keys)) do
      take(queue, lane, limit, id, keys.claimed, now)
      ids[#ids + 1] = id
      lane_by_id[id] = lane
    end
    if redis.call('ZLEXCOUNT', parked, first, last) == 0 then
      redis.call('ZREM', lanes, lane)
    else
      redis.call('ZADD', lanes, now + select(2, room_in(queue, lane, limit, now)), lane)
    end
  end
  return ids, lane_by_id
end

-- Take the messages that their limits allow, and park the others. Returns those taken, and how many were parked.
local function take_or_park(queue, limits, keys, ids, now, microseconds, lane_by_id)
  local lanes, parked = 'dramatiq:' .. queue .. '.lanes', 'dramatiq:' .. queue .. '.parked'
  local taken, count = {}, 0
  local payloads = #ids > 0 and redis.call('HMGET', keys.payloads, unpack(ids)) or {}
  for i, id in ipairs(ids) do
    local lane = payloads[i] and lane_of(payloads[i], limits)
    if not lane then
      taken[#taken + 1] = id
    else
      local limit, was_delivered = limit_of(lane, limits), redis.call('HEXISTS', keys.deliveries, id) == 1
      -- A new message goes behind those that are parked, one that was claimed before goes ahead of them. Asked first,
      -- because looking for room in a full lane costs as much as it has slots.
      local room, wait = 0, 0
      if was_delivered or not redis.call('ZSCORE', lanes, lane) then
        room, wait = room_in(queue, lane, limit, now)
      end
      if room > 0 then
        take(queue, lane, limit, id, keys.claimed, now)
        lane_by_id[id] = lane
        taken[#taken + 1] = id
      else
        local place = (was_delivered and '0' or '1') .. string.format('%.0f', microseconds + i)
        redis.call('ZADD', parked, 0, lane .. '\t' .. place .. '\t' .. id)
        redis.call('ZADD', lanes, 'NX', now + wait, lane)
        count = count + 1
      end
    end
  end
  return taken, count
end
