"""The platform's commands of `queue`, each with the module that is imported when the command is called."""

COMMANDS = {
    "actors": "tandem.cli.actors:actors",
    "alert-rules": "tandem.cli.alert_rules:rules",
    "adopt": "tandem.cli.adopt:adopt",
    "cancel": "tandem.cli.messages:cancel",
    "check": "tandem.cli.check:check",
    "config": "tandem.cli.config:config",
    "consume": "tandem.cli.consume:consume",
    "dev": "tandem.cli.dev:dev",
    "doctor": "tandem.cli.doctor:doctor",
    "failed": "tandem.cli.failed:failed",
    "health": "tandem.cli.health:health",
    "logs": "tandem.cli.logs:show_logs",
    "messages": "tandem.cli.messages:messages",
    "pause": "tandem.cli.control_commands:pause",
    "init": "tandem.cli.init:init",
    "purge": "tandem.cli.control_commands:purge",
    "reload": "tandem.cli.reload:reload",
    "resume": "tandem.cli.control_commands:resume",
    "run": "tandem.cli.messages:run",
    "schedules": "tandem.cli.schedules:schedules",
    "send": "tandem.cli.send:send",
    "stats": "tandem.cli.stats:stats",
    "stop-workers": "tandem.cli.control_commands:stop_workers",
}
#: Commands that need the names of actors and queues, which the workloads declare.
NEED_WORKLOADS = {
    *("actors", "adopt", "cancel", "failed", "messages", "pause", "purge", "resume", "run", "schedules", "send"),
    *("stats", "stop-workers"),
}
