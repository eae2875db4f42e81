-- What wrk sends.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"text": "The report of the third quarter, as PDF, for the board."}'
