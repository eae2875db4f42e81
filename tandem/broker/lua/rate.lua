-- The generic cell rate algorithm (ITU-T I.371): the key of a rate has the time when it is on schedule again. A tenth of
-- the rate may start at once. Prepended to claim_batch.lua.

-- Returns how many may start now, and the ms until one more may.
local function allowed(name, count, window, now)
  local interval, burst = window / count, math.max(1, math.floor(count / 10))
  local ahead = math.max(0, tonumber(redis.call('GET', 'tandem:rate:' .. name) or 0) - now)
  return math.floor(burst - ahead / interval + 1e-9), math.max(1, math.ceil(ahead - (burst - 1) * interval))
end

local function use(name, count, window, now, used)
  local key, interval = 'tandem:rate:' .. name, window / count
  local from = math.max(now, tonumber(redis.call('GET', key) or 0))
  redis.call('SET', key, string.format('%.3f', from + used * interval), 'PX', math.ceil(2 * window))
end
