-- Put a message of an outbox into its queue once: a relay that sends it again, because one died before it had deleted the
-- message from the outbox, changes nothing.
-- KEYS: payloads, ready, delayed, notify, all queues, heartbeats, mark of this message
-- ARGV: queue, id, payload, delay in ms or -1, until and what happens otherwise ('' both, if it is not unique), seconds
-- for which the mark is kept, another id if the first is taken
-- Returns the id in the queue, or '' if it is not put there.
if not redis.call('SET', KEYS[7], 1, 'NX', 'EX', ARGV[7]) then
  return ''
end
if ARGV[5] ~= '' then
  local found = enqueue_unique(KEYS, ARGV)
  return found[1] == 'sent' and found[2] or ''
end
if enqueue(KEYS, ARGV) == 1 then
  return ARGV[2]
end
enqueue(KEYS, {ARGV[1], ARGV[8], ARGV[3], ARGV[4]})
return ARGV[8]
