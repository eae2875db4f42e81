-- What wrk sends.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"text": "The house is beautiful.", "source": "en", "target": "es"}'
