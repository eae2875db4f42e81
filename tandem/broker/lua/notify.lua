-- Wake idle workers: each element of a queue's list wakes one of them. Prepended to the scripts that make messages
-- ready. list: the key of the queue's notify list; messages: how many have become ready
local function notify(list, messages)
  -- More than eight elements would wake workers for which no message is left.
  for _ = 1, math.min(messages, 8 - redis.call('LLEN', list)) do
    redis.call('RPUSH', list, 1)
  end
end
