-- The circuit breaker of one model: tripped while the model cannot answer, with one worker at a time trying the model.
-- KEYS: a hash that exists while the breaker is tripped
--   reason  why it was tripped
--   pause   ms between two trials
--   try_at  when the next trial may begin (ms); the worker on trial postpones it with each heartbeat
--   turn    when the last of the waiting translations returns (ms)
-- ARGV: 'allow'; or 'trip', the reason, and '1' after a failed trial; or 'claim', the reason, to trip it and begin a
-- trial immediately; or 'heartbeat' of the worker on trial; then, for all:
-- the shortest and the longest pause, how long a trial lasts without a heartbeat, the interval between two waiting
-- translations, how long an unused breaker stays tripped (ms)
-- Returns {action, ms, reason}: 'proceed', 'try', or 'wait' with the delay; 'tripped' after 'trip'.
local breaker, command = KEYS[1], ARGV[1]
local min, max, timeout, spacing, expiry = unpack(ARGV, 4, 8)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local reason = redis.call('HGET', breaker, 'reason')
if command == 'trip' then
  local pause = tonumber(redis.call('HGET', breaker, 'pause') or min)
  if reason and ARGV[3] == '1' then
    pause = math.min(2 * pause, tonumber(max))
  end
  if not reason or ARGV[3] == '1' then
    redis.call('HSET', breaker, 'reason', ARGV[2], 'pause', pause, 'try_at', now + pause)
    redis.call('PEXPIRE', breaker, expiry)
  end
  return {'tripped', 0, ARGV[2]}
end
if not reason and command == 'claim' then
  reason = ARGV[2]
  redis.call('HSET', breaker, 'reason', reason, 'pause', min, 'try_at', now)
end
if not reason then
  return {'proceed', 0, ''}
end
local try_at = tonumber(redis.call('HGET', breaker, 'try_at'))
if command == 'heartbeat' or try_at <= now then
  redis.call('HSET', breaker, 'try_at', now + timeout)
  redis.call('PEXPIRE', breaker, expiry)
  return {'try', 0, reason}
end
local turn = math.max(tonumber(redis.call('HGET', breaker, 'turn') or 0) + spacing, try_at)
redis.call('HSET', breaker, 'turn', turn)
return {'wait', turn - now, reason}
