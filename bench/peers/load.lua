-- The requests of a file, one body a line, sent again and again from a line of one's own on.
-- Arguments: the file, the line to begin at.
local requests, at, count, bad = {}, 0, 0, 0
threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("bad", 0)
end

function init(arguments)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  for body in io.lines(arguments[1]) do
    count = count + 1
    requests[count] = wrk.format(nil, nil, nil, body)
  end
  at = tonumber(arguments[2])
end

function request()
  at = at % count + 1
  return requests[at]
end

-- a wrong answer must not count as a fast one
function response(status, headers, body)
  if status ~= 200 or body:find('"errors"', 1, true) or not body:find('"data"', 1, true) then
    bad = bad + 1
    wrk.thread:set("bad", bad)
  end
end

function done(summary, latency)
  local wrong = 0
  for _, thread in ipairs(threads) do
    wrong = wrong + thread:get("bad")
  end
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "bytes": %d, "bad": %d, "failed": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), summary.bytes, wrong,
    errors.connect + errors.read + errors.write + errors.timeout))
end
